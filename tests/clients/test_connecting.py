"""Connecting each client and undoing it, on files as people have them."""

from __future__ import annotations

import json
import os
import resource
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.clients import connection, undoing
from shim.clients.changing import document_of
from shim.clients.client import ENTRY, Client, Entry, Machine
from shim.clients.connection import Connected, Fronted, LeftAlone
from shim.clients.reading import json_document
from shim.clients.registry import CLIENTS, find
from shim.clients.replacing import Changed, backups, replace
from shim.clients.server import ClientName, Server
from shim.clients.undoing import Undone
from tests.clients.samples import SAMPLES, Sample

NOW = datetime(2026, 11, 1, 12, 30, 5, tzinfo=UTC)
COMMAND = ["/opt/shim/bin/mcp-shim", "stdio", "--identity", "me", "--config", "/srv/config/shim.yaml"]


class Desk:
    """A home and a project, and the shim standing for the servers `git` and both clocks, whatever they are called."""

    def __init__(self, folder: Path) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        self.machine = Machine(self.home, self.project, {"PATH": "/usr/bin"}, "linux")

    def connect(self, client: Client, *, moving: bool = True, entry: Entry | None = None) -> Connected:
        entry = entry or client.stdio(COMMAND, self.machine)
        return connection.connect(client, self.machine, entry, NOW, fronted=is_fronted, moving=moving)

    def undo(self, client: Client) -> Undone | None:
        return undoing.undo(client, self.machine, fronted=is_fronted)

    def names(self, client: Client) -> set[str]:
        found = find([client.name], home=self.home, folder=self.project, environ={}, system="linux")
        assert not found.unusable
        return {server.name for server in found.servers}


def is_fronted(server: Server) -> bool:
    return server.command is not None and server.command[0] in ("mcp-server-git", "mcp-server-time")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def everything(folder: Path) -> dict[str, bytes]:
    """All files below a folder but for backups."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".bak-" not in path.name}


each = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.client)


@each
def test_there_and_back_is_byte_for_byte_the_same(desk: Desk, sample: Sample) -> None:
    client, file = CLIENTS[sample.client], sample.write(desk.home)
    assert file == client.user_file(desk.machine)
    assert desk.names(client) == set(sample.servers)

    done = desk.connect(client)
    moved = {"git", "clock", "my clock"} & set(sample.servers)
    assert {server.name for server in done.moved} == moved
    assert desk.names(client) == set(sample.servers) - moved | {ENTRY}
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.stat().st_mode & 0o777 for path in done.backups] == [0o600]
    assert done.backups[0].read_bytes() == sample.text.encode()
    assert done.backups[0].name == f"{file.name}.bak-20261101T123005Z"

    undone = desk.undo(client)
    assert undone is not None
    assert undone.exact
    assert {server.name for server in undone.back} == moved
    assert file.read_bytes() == sample.text.encode()
    assert file.stat().st_mode & 0o777 == 0o640


@each
def test_all_that_is_not_the_shims_keeps_its_value_and_its_comments(desk: Desk, sample: Sample) -> None:
    client, file = CLIENTS[sample.client], sample.write(desk.home)
    before = document_of(client, file.read_bytes())
    desk.connect(client, moving=False)
    after = document_of(client, file.read_bytes())
    servers = after[client.section[0]]
    assert isinstance(servers, dict)
    assert servers.pop(ENTRY) == client.stdio(COMMAND, desk.machine).value
    assert after == before
    rest = iter(file.read_bytes())
    assert all(byte in rest for byte in sample.text.encode())


@each
def test_a_second_time_changes_nothing(desk: Desk, sample: Sample) -> None:
    client, file = CLIENTS[sample.client], sample.write(desk.home)
    desk.connect(client)
    before = file.read_bytes()
    again = desk.connect(client)
    assert (again.backups, again.moved) == ((), ())
    assert file.read_bytes() == before
    assert len(backups(file)) == 1


@each
def test_several_changes_are_undone_at_once(desk: Desk, sample: Sample) -> None:
    client, file = CLIENTS[sample.client], sample.write(desk.home)
    desk.connect(client, moving=False)
    desk.connect(client, moving=False, entry=client.http("http://127.0.0.1:8765/mcp") or Entry({"command": "other"}))
    desk.connect(client, moving=True)
    assert len(backups(file)) == 3
    undone = desk.undo(client)
    assert undone is not None
    assert undone.exact
    assert file.read_bytes() == sample.text.encode()


@pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.name)
def test_a_file_that_was_not_there_goes_again(desk: Desk, client: Client) -> None:
    desk.connect(client)
    file = client.user_file(desk.machine)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent == desk.home or file.parent.stat().st_mode & 0o777 == 0o700
    undone = desk.undo(client)
    assert undone is not None
    assert undone.exact
    assert not file.exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"{}", b"{ }\r\n", b'{"mcpServers":{}}', b"\xef\xbb\xbf{\n}"])
def test_an_empty_file_is_empty_again(desk: Desk, content: bytes) -> None:
    client = CLIENTS["gemini"]
    file = client.user_file(desk.machine)
    file.parent.mkdir()
    file.write_bytes(content)
    desk.connect(client)
    assert desk.names(client) == {ENTRY}
    desk.undo(client)
    assert file.read_bytes() == content


@each
def test_what_the_client_changed_since_stays(desk: Desk, sample: Sample) -> None:
    client, file = CLIENTS[sample.client], sample.write(desk.home)
    desk.connect(client)
    text = file.read_bytes().decode()
    if client.syntax == "toml":
        file.write_text(text + '\n\n[mcp_servers.new]\ncommand = "fresh"\n')
    else:
        start = text.index("{") + 1
        file.write_text(text[:start] + '"added": {"by": "client"},' + text[start:], newline="")
    undone = desk.undo(client)
    assert undone is not None
    assert not undone.exact
    new = {"new"} if client.syntax == "toml" else set()
    assert desk.names(client) == set(sample.servers) | new
    after = document_of(client, file.read_bytes())
    before = document_of(client, sample.text.encode())
    if client.syntax == "toml":
        servers = after["mcp_servers"]
        assert isinstance(servers, dict)
        assert servers.pop("new") == {"command": "fresh"}
    else:
        assert after.pop("added") == {"by": "client"}
    assert after == before


def test_without_a_backup_only_the_entry_goes(desk: Desk) -> None:
    client = CLIENTS["claude-code"]
    SAMPLES[0].write(desk.home)
    for path in desk.connect(client).backups:
        path.unlink()
    undone = desk.undo(client)
    assert undone is not None
    assert (undone.backup, undone.back) == (False, ())
    assert desk.names(client) == {"linear"}
    assert desk.undo(client) is None


def test_a_backup_that_cannot_be_used_is_named_and_all_is_left_alone(desk: Desk) -> None:
    client, file = CLIENTS["cursor"], desk.home / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text("{}")
    [backup] = desk.connect(client).backups
    backup.write_text("{")
    before = file.read_bytes()
    with pytest.raises(LeftAlone, match=backup.name):
        desk.undo(client)
    assert file.read_bytes() == before


def test_a_project_is_put_back_where_the_backup_of_the_user_file_is_gone(desk: Desk) -> None:
    client, file = CLIENTS["cursor"], desk.project / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text(text := '{"mcpServers": {"git": {"command": "mcp-server-git"}}}')
    desk.connect(client).backups[0].unlink()
    desk.undo(client)
    assert file.read_text() == text


def test_what_is_left_alone_is_not_as_it_was_before(desk: Desk) -> None:
    client, file = CLIENTS["cursor"], desk.project / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text('{"mcpServers": {"git": {"command": "mcp-server-git"}}}')
    desk.connect(client)
    file.write_text("{")
    undone = desk.undo(client)
    assert undone is not None
    assert undone.alone
    assert not undone.exact


def test_a_server_that_a_person_removed_stays_away(desk: Desk) -> None:
    sample = SAMPLES[0]
    client, file = CLIENTS[sample.client], sample.write(desk.home)
    desk.connect(client)
    document = json.loads(file.read_text())
    del document["mcpServers"]["linear"]
    file.write_text(json.dumps(document, indent=2))
    undone = desk.undo(client)
    assert undone is not None
    assert [server.name for server in undone.lost] == ["linear"]
    assert desk.names(client) == {"git", "clock"}


def test_an_entry_that_was_there_before_comes_back(desk: Desk) -> None:
    client, file = CLIENTS["cursor"], desk.home / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text(text := '{"mcpServers": {"mcp-shim": {"command": "mine"}}}')
    desk.connect(client)
    assert json.loads(file.read_text())["mcpServers"]["mcp-shim"]["command"] == COMMAND[0]
    undone = desk.undo(client)
    assert undone is not None
    assert file.read_text() == text


def test_an_earlier_connection_is_not_mixed_up_with_this_one(desk: Desk) -> None:
    # Given a connection that was undone, and a server that the person removed after that
    client, file = CLIENTS["claude-code"], SAMPLES[0].write(desk.home)
    desk.connect(client)
    desk.undo(client)
    document = json.loads(file.read_text())
    del document["mcpServers"]["git"]
    file.write_text(text := json.dumps(document, indent=2))
    # When the client is connected and disconnected once more
    desk.connect(client)
    desk.undo(client)
    # Then the server does not come back from the first time
    assert file.read_text() == text


def test_project_files_are_moved_out_of_and_put_back_together(desk: Desk) -> None:
    client = CLIENTS["claude-code"]
    SAMPLES[0].write(desk.home)
    (desk.project / ".mcp.json").write_text('{"mcpServers": {"git": {"command": "mcp-server-git"}}}\n')
    before = everything(desk.home.parent)
    done = desk.connect(client)
    assert len(done.backups) == 2
    assert (desk.project / ".mcp.json").read_text() == '{"mcpServers": {}}\n'
    undone = desk.undo(client)
    assert undone is not None
    assert undone.exact
    assert everything(desk.home.parent) == before


def test_moving_later_is_undone_as_well(desk: Desk) -> None:
    client = CLIENTS["vscode"]
    file = desk.project / ".vscode" / "mcp.json"
    file.parent.mkdir()
    desk.connect(client)
    file.write_text(text := '{"servers": {"git": {"command": "mcp-server-git"}, /* x */ "a": {"command": "b"}}}')
    done = desk.connect(client)
    assert [server.name for server in done.moved] == ["git"]
    assert [one.name for one in done.around] == ["a"]
    desk.undo(client)
    assert file.read_text() == text
    assert not client.user_file(desk.machine).exists()


def test_what_was_added_between_two_connections_and_moved_comes_back_too(desk: Desk) -> None:
    # Given a client that is connected, and a server that it got after that
    client, file = CLIENTS["cursor"], desk.home / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text('{"mcpServers": {"git": {"command": "mcp-server-git"}}}')
    desk.connect(client)
    document = json.loads(file.read_text())
    document["mcpServers"]["clock"] = {"command": "mcp-server-time"}
    file.write_text(json.dumps(document, indent=2))
    # When that is moved as well, and all is undone
    assert [server.name for server in desk.connect(client).moved] == ["clock"]
    undone = desk.undo(client)
    # Then both are there
    assert undone is not None
    assert not undone.lost
    assert desk.names(client) == {"git", "clock"}


def test_each_project_is_put_back_whichever_was_first(desk: Desk) -> None:
    # Given servers that were moved out of the files of two projects
    client, other = CLIENTS["cursor"], desk.home.parent / "other"
    texts = (
        '{"mcpServers": {"git": {"command": "mcp-server-git"}}}',
        '{"mcpServers":{"time":{"command":"mcp-server-time"}}}',
    )
    machines = desk.machine, Machine(desk.home, other, {"PATH": "/usr/bin"}, "linux")
    files = [machine.folder / ".cursor" / "mcp.json" for machine in machines]
    for file, text, machine in zip(files, texts, machines, strict=True):
        file.parent.mkdir(parents=True)
        file.write_text(text)
        desk.machine = machine
        desk.connect(client)
    # When the connection is undone from each
    for machine in machines:
        desk.machine = machine
        assert desk.undo(client) is not None
        assert desk.undo(client) is None
    # Then both are as they were
    assert [file.read_text() for file in files] == list(texts)


def test_a_disabled_server_is_not_in_the_way(desk: Desk) -> None:
    client, file = CLIENTS["cursor"], desk.home / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text('{"mcpServers": {"git": {"command": "mcp-server-git", "disabled": true}}}')
    done = desk.connect(client)
    assert (done.moved, done.around) == ((), ())
    assert desk.names(client) == {"git", ENTRY}


def _linked(desk: Desk) -> Path:
    real = desk.home / "dotfiles" / "claude.json"
    real.parent.mkdir()
    real.write_text("{}\n")
    (desk.home / ".claude.json").symlink_to("dotfiles/claude.json")
    return real


def test_a_link_stays_one_and_its_target_changes(desk: Desk) -> None:
    real, link = _linked(desk), desk.home / ".claude.json"
    desk.connect(CLIENTS["claude-code"])
    assert link.is_symlink()
    assert ENTRY in real.read_text()
    desk.undo(CLIENTS["claude-code"])
    assert link.is_symlink()
    assert real.read_text() == "{}\n"


def _broken(file: Path) -> None:
    file.write_text('{"mcpServers": {')


def _fifo(file: Path) -> None:
    os.mkfifo(file)


def _open_to_all(file: Path) -> None:
    file.write_text("{}")
    file.chmod(0o666)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "broken": (_broken, "not JSON"),
    "twice": (lambda file: file.write_text('{"a": 1, "a": 2}'), "appears twice"),
    "an array": (lambda file: file.write_text("[]"), "does not hold a JSON object"),
    "other type": (lambda file: file.write_text('{"mcpServers": []}'), "an object"),
    "not text": (lambda file: file.write_bytes(b'{"a": "\xff"}'), "not UTF-8"),
    "deep": (lambda file: file.write_text('{"a":' * 100_000), "nesting"),
    "huge": (lambda file: file.write_bytes(b" " * (11 << 20)), "larger than 10 MiB"),
    "folder": (lambda file: file.mkdir(), "not a plain file"),
    "fifo": (_fifo, "not a plain file"),
    "loop": (lambda file: file.symlink_to(file), "cannot be read"),
    "nowhere": (lambda file: file.symlink_to("/nowhere/at/all"), "a symbolic link to nothing"),
    "device": (lambda file: file.symlink_to("/dev/zero"), "not a plain file"),
    "open to all": (_open_to_all, "chmod o-w"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_read_is_left_alone(desk: Desk, kind: str) -> None:
    file = desk.home / ".claude.json"
    make, why = BAD[kind]
    make(file)
    before = file.lstat()
    with pytest.raises(LeftAlone, match=why):
        desk.connect(CLIENTS["claude-code"])
    assert file.lstat().st_ino == before.st_ino
    assert [path.name for path in desk.home.iterdir()] == [".claude.json"]
    found = find(None, home=desk.home, folder=desk.project, environ={}, system="linux")
    assert [unusable.why for unusable in found.unusable]


def test_a_table_that_cannot_be_edited_is_left_alone(desk: Desk) -> None:
    file = desk.home / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text(text := '[[mcp_servers]]\ncommand = "mcp-server-git"\n')
    with pytest.raises(LeftAlone):
        desk.connect(CLIENTS["codex"])
    assert file.read_text() == text
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


def test_a_broken_project_file_is_told_of_and_the_rest_is_done(desk: Desk) -> None:
    (desk.project / ".mcp.json").write_text("{")
    done = desk.connect(CLIENTS["claude-code"])
    assert [str(desk.project / ".mcp.json") in line for line in done.alone] == [True]
    assert ENTRY in (desk.home / ".claude.json").read_text()
    assert (desk.project / ".mcp.json").read_text() == "{"


def test_what_somebody_wrote_since_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"new")
    for before in (b"old", None):
        with pytest.raises(Changed):
            replace(file, before, b"mine")
    assert file.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def _meddling(file: Path, times: int) -> Fronted:
    """Somebody who writes to the file while it is being looked at, so many times."""
    left = list(range(times))

    def meddle(server: Server) -> bool:
        if left:
            file.write_text(file.read_text().replace("{", f'{{"by-{left.pop()}": 1, ', 1))
        return is_fronted(server)

    return meddle


GIT = '{"mcpServers": {"git": {"command": "mcp-server-git"}}}'


def test_a_file_that_changes_meanwhile_is_read_again(desk: Desk) -> None:
    client, file = CLIENTS["claude-code"], desk.home / ".claude.json"
    file.write_text(GIT)
    entry = client.stdio(COMMAND, desk.machine)
    connection.connect(client, desk.machine, entry, NOW, fronted=_meddling(file, 2), moving=True)
    assert desk.names(client) == {ENTRY}
    assert file.read_text().count("by-") == 2
    assert len(backups(file)) == 1


def test_a_file_that_keeps_changing_is_left_alone(desk: Desk) -> None:
    client, file = CLIENTS["claude-code"], desk.home / ".claude.json"
    file.write_text(GIT)
    entry = client.stdio(COMMAND, desk.machine)
    with pytest.raises(LeftAlone, match="changed by somebody else"):
        connection.connect(client, desk.machine, entry, NOW, fronted=_meddling(file, 99), moving=True)
    assert desk.names(client) == {"git"}
    assert not backups(file)


def test_a_disk_that_takes_no_more_leaves_nothing_half_written(desk: Desk) -> None:
    client, file = CLIENTS["claude-code"], desk.home / ".claude.json"
    file.write_text(GIT)
    before = everything(desk.home)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        with pytest.raises(LeftAlone, match="cannot be written"):
            desk.connect(client)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert everything(desk.home) == before
    assert list(desk.home.iterdir()) == [file]


def test_nothing_planted_is_followed(desk: Desk, tmp_path: Path) -> None:
    file = desk.home / ".claude.json"
    file.write_text("{}")
    victim = tmp_path / "victim"
    (desk.home / ".claude.json.bak-20261101T123005Z").symlink_to(victim)
    done = desk.connect(CLIENTS["claude-code"])
    assert [path.name for path in done.backups] == [".claude.json.bak-20261101T123005Z-2"]
    assert not victim.exists()


EASY: list[ClientName] = ["cursor", "codex", "gemini", "claude-desktop"]


@given(st.text(max_size=20), st.sampled_from(EASY))
def test_any_name_of_a_server_survives(tmp_path_factory: pytest.TempPathFactory, name: str, chosen: ClientName) -> None:
    client = CLIENTS[chosen]
    desk = Desk(tmp_path_factory.mktemp("desk"))
    file = client.user_file(desk.machine)
    file.parent.mkdir(parents=True)
    quoted = json.dumps(name, ensure_ascii=True)
    if client.syntax == "toml":
        if any(ord(character) > 0xFFFF or character == "\x7f" for character in name):
            return
        text = f'[mcp_servers.{quoted}]\ncommand = "mcp-server-git"\n'
        assert tomllib.loads(text)
    else:
        text = f'{{"mcpServers": {{{quoted}: {{"command": "mcp-server-git"}}}}}}'
        assert json_document(text)
    file.write_text(text)
    done = desk.connect(client)
    expected = [name] if name != ENTRY and "\0" not in name else []
    assert [server.name for server in done.moved] == expected
    desk.undo(client)
    assert file.read_text() == text
