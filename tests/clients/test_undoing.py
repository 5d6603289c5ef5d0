"""What undoing leaves beside the files that it put back: nothing that holds a key, where nothing is lost by that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shim.clients import connection, temporaries, undoing
from shim.clients.client import ENTRY, Machine
from shim.clients.registry import CLIENTS
from shim.clients.replacing import backups
from shim.clients.temporaries import leftovers, sweep
from tests.clients.samples import Sample
from tests.clients.test_connecting import COMMAND, NOW, Desk, desk, each, everything, is_fronted

__all__ = ["desk"]

GIT = '{"mcpServers": {"git": {"command": "mcp-server-git", "env": {"KEY": "k3y-Abc123"}}}}'
LATER = NOW.timestamp() + 10**9
"""After all that these tests write."""

RUN = """
import sys
from pathlib import Path
from shim.clients import connection, {module}
from shim.clients.client import Machine
from shim.clients.registry import CLIENTS
from tests.clients.test_connecting import COMMAND, NOW, is_fronted

real, left = {module}.{name}, [{after}]

def stopped(*arguments):
    if not left[0]:
        print("here", flush=True)
        sys.stdin.read()
    left[0] -= 1
    return real(*arguments)

{module}.{name} = stopped
machine = Machine(Path(sys.argv[1]), Path(sys.argv[2]), {{"PATH": "/usr/bin"}}, "linux")
client = CLIENTS["cursor"]
{do}
"""
CONNECT = "connection.connect(client, machine, client.stdio(COMMAND, machine), NOW, fronted=is_fronted, moving=True)"
UNDO = "undoing.undo(client, machine, fronted=is_fronted)"


def killed(desk: Desk, module: str, name: str, after: int, do: str) -> None:
    """A run of its own that is killed when it is about to call a function once more than so many times."""
    code = RUN.format(module=module, name=name, after=after, do=do)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(desk.home), str(desk.project)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    reached = process.stdout.readline()
    process.kill()
    process.communicate()
    assert reached == b"here\n"


def cursor(folder: Path, text: str = GIT) -> Path:
    file = folder / ".cursor" / "mcp.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def beside(*files: Path) -> set[str]:
    """All that lies beside these files."""
    return {path.name for file in files for path in file.parent.iterdir()} - {file.name for file in files}


@each
def test_backups_go_once_all_is_as_it_was(desk: Desk, sample: Sample) -> None:
    client, file = CLIENTS[sample.client], sample.write(desk.home)
    kept = desk.connect(client, moving=False).backups + desk.connect(client).backups
    undone = desk.undo(client)
    assert undone is not None
    assert undone.exact
    assert set(undone.removed) == set(kept)
    assert (undone.kept, undone.elsewhere) == ((), ())
    assert everything(desk.home) == {str(file): sample.text.encode()}
    assert not beside(file)


def test_so_does_what_says_that_there_was_no_file(desk: Desk) -> None:
    [marker] = desk.connect(CLIENTS["cursor"]).backups
    undone = desk.undo(CLIENTS["cursor"])
    assert undone is not None
    assert undone.removed == (marker,)
    assert not list((desk.home / ".cursor").iterdir())


def test_where_something_was_changed_since_backups_stay_and_are_named(desk: Desk) -> None:
    file = cursor(desk.home)
    kept = desk.connect(CLIENTS["cursor"]).backups
    file.write_text(file.read_text().replace("{", '{"mine": 1, ', 1))
    undone = desk.undo(CLIENTS["cursor"])
    assert undone is not None
    assert (undone.exact, undone.removed, undone.kept) == (False, (), kept)
    assert kept[0].read_text() == GIT


def test_backups_of_an_earlier_connection_stay(desk: Desk) -> None:
    # Given one that was undone after a change, so that its backup is still there
    file = cursor(desk.home)
    [earlier] = desk.connect(CLIENTS["cursor"]).backups
    file.write_text(file.read_text().replace("{", '{"mine": 1, ', 1))
    desk.undo(CLIENTS["cursor"])
    # When the client is connected and put back once more
    desk.connect(CLIENTS["cursor"])
    desk.undo(CLIENTS["cursor"])
    # Then that is all that is left
    assert beside(file) == {earlier.name}


def test_only_plain_files_that_hold_what_was_read_go(desk: Desk) -> None:
    # Given that the newer of two backups is a link
    file = cursor(desk.home)
    [first] = desk.connect(CLIENTS["cursor"], moving=False).backups
    [backup] = desk.connect(CLIENTS["cursor"]).backups
    elsewhere = desk.home / "vault"
    backup.rename(elsewhere)
    backup.symlink_to(elsewhere)
    held = elsewhere.read_bytes()
    # Then neither it, nor what it leads to, nor what is older goes
    undone = desk.undo(CLIENTS["cursor"])
    assert undone is not None
    assert (undone.exact, undone.removed, undone.kept) == (True, (), (first, backup))
    assert file.read_text() == first.read_text() == GIT
    assert elsewhere.read_bytes() == held
    assert backup.is_symlink()


def test_an_entry_that_was_there_before_is_not_taken_for_the_shims_afterwards(desk: Desk) -> None:
    file = cursor(desk.home, text := '{"mcpServers": {"mcp-shim": {"command": "mine"}}}')
    desk.connect(CLIENTS["cursor"])
    for _ in range(2):
        desk.undo(CLIENTS["cursor"])
        assert file.read_text() == text


def test_what_the_client_writes_over_what_was_put_back_does_not_cost_the_backup(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a client that writes what it remembers, right after the file was put back
    file = cursor(desk.home)
    [backup] = desk.connect(CLIENTS["cursor"]).backups
    remembered = file.read_text()

    def apply(edits: list[connection.Edit], now: None) -> tuple[Path, ...]:
        done = connection.apply(edits, now)
        file.write_text(remembered)
        return done

    monkeypatch.setattr(undoing, "apply", apply)
    undone = desk.undo(CLIENTS["cursor"])
    assert undone is not None
    assert undone.removed == ()
    assert backup.read_text() == GIT


def test_the_users_backup_stays_until_the_last_project_is_put_back(desk: Desk) -> None:
    # Given servers that were moved out of two projects together with the user's
    user, other = cursor(desk.home), desk.home.parent / "other"
    here, there = cursor(desk.project), cursor(other)
    desk.connect(CLIENTS["cursor"])
    elsewhere = Machine(desk.home, other, {"PATH": "/usr/bin"}, "linux")
    entry = CLIENTS["cursor"].stdio(COMMAND, elsewhere)
    connection.connect(CLIENTS["cursor"], elsewhere, entry, NOW, fronted=is_fronted, moving=True)
    # When it is undone from one
    undone = desk.undo(CLIENTS["cursor"])
    assert undone is not None
    assert undone.elsewhere == (there,)
    assert len(undone.kept) == 2
    assert not beside(here)
    assert desk.undo(CLIENTS["cursor"]) is None
    # And from the other by its name
    desk.machine = Machine(desk.home, desk.project, {"PATH": "/usr/bin"}, "linux", (there,))
    assert desk.undo(CLIENTS["cursor"]) is not None
    # Then all three are as they were, and nothing else is there
    assert [file.read_text() for file in (user, here, there)] == [GIT] * 3
    assert not beside(user, here, there)


@pytest.mark.parametrize("note", ["{", '{"files": 1}', '{"files": ["/nowhere/at/all.json"]}'])
def test_without_a_note_that_can_be_believed_nothing_is_removed_that_might_be_needed(desk: Desk, note: str) -> None:
    user, _ = cursor(desk.home), cursor(desk.project)
    desk.connect(CLIENTS["cursor"])
    [written] = user.parent.glob("*-with")
    written.write_text(note)
    undone = desk.undo(CLIENTS["cursor"])
    assert undone is not None
    assert bool(undone.kept) == (note != '{"files": 1}')


def test_two_clients_that_share_a_projects_file_leave_it_as_it_was(desk: Desk) -> None:
    # Given a file that two clients read by names of their own
    real = desk.project / ".mcp.json"
    real.write_text(text := '{"mcpServers": {"git": {"command": "mcp-server-git"}, "x": {"command": "x"}}}')
    (desk.project / ".cursor").mkdir()
    (desk.project / ".cursor" / "mcp.json").symlink_to("../.mcp.json")
    # When both are connected, and taken back in either order
    both = [CLIENTS["claude-code"], CLIENTS["cursor"]]
    for order in (both, both[::-1]):
        for client in both:
            desk.connect(client)
        assert "git" not in real.read_text()
        for client in order:
            desk.undo(client)
        # Then it is as it was, with no trace
        assert real.read_text() == text
        assert not list(desk.home.parent.rglob("*.bak-*"))


def test_a_home_that_is_the_project_by_another_name_is_one(desk: Desk) -> None:
    file = cursor(desk.home)
    link = desk.home.parent / "link"
    link.symlink_to(desk.home)
    desk.machine = Machine(desk.home, link, {"PATH": "/usr/bin"}, "linux")
    assert len(desk.connect(CLIENTS["cursor"]).backups) == 1
    desk.undo(CLIENTS["cursor"])
    assert file.read_text() == GIT
    assert not beside(file)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_kill_before_the_backups_are_gone_loses_nothing_and_the_next_run_ends_it(desk: Desk, after: int) -> None:
    user, project = cursor(desk.home), cursor(desk.project)
    desk.connect(CLIENTS["cursor"], moving=False)
    desk.connect(CLIENTS["cursor"])
    killed(desk, "undoing", "discard", after, UNDO)
    assert [file.read_text() for file in (user, project)] == [GIT] * 2
    assert len([*backups(user), *backups(project)]) == 3 - after
    undone = desk.undo(CLIENTS["cursor"])
    assert undone is not None
    assert (undone.files, len(undone.removed)) == ((), 3 - after)
    assert not beside(user, project)
    assert desk.undo(CLIENTS["cursor"]) is None


@pytest.mark.parametrize("after", [0, 1])
def test_what_a_kill_leaves_is_for_its_owner_alone_and_found(desk: Desk, after: int) -> None:
    # Given a file that others may read, and a run that is killed before what it wrote has a name
    file = cursor(desk.home)
    file.chmod(0o644)
    killed(desk, "temporaries", "sync", after, CONNECT)
    # Then the file is as it was, and what is left has its mode
    assert file.read_text() == GIT
    [left] = leftovers(file)
    assert left.stat().st_mode & 0o777 == 0o600
    # And goes, once it is older than who looks
    assert sweep(file, left.stat().st_mtime) == []
    assert sweep(file, LATER) == [left]
    assert {path for path in file.parent.iterdir() if path != file} == {one.path for one in backups(file)}


def test_nothing_but_what_a_kill_left_is_swept(desk: Desk) -> None:
    file = cursor(desk.home)
    victim = desk.home / "victim"
    victim.write_text("mine")
    names = (".mcp.json.abcdefgh", ".mcp.json.mcp-shim-short", ".mcp.json.mine.mcp-shim-abcdefgh", "mcp-shim-abcdefgh")
    for name in names:
        (file.parent / name).touch()
    (file.parent / ".mcp.json.mcp-shim-aaaaaaaa").symlink_to(victim)
    (file.parent / ".mcp.json.mcp-shim-bbbbbbbb").mkdir()
    os.mkfifo(file.parent / ".mcp.json.mcp-shim-cccccccc")
    before = beside(file)
    assert sweep(file, LATER) == []
    assert beside(file) == before
    # But a backup's is ours
    (ours := file.parent / ".mcp.json.bak-20261101T123005Z-2-absent.mcp-shim-abcdefgh").touch()
    assert sweep(file, LATER) == [ours]


def test_what_somebody_is_writing_is_not_swept(desk: Desk) -> None:
    file = cursor(desk.home)
    with temporaries.beside(file, b"new") as written:
        assert leftovers(file) == []
        assert sweep(file, LATER) == []
        assert written.path.read_bytes() == b"new"


def test_beside_what_a_link_leads_to_is_looked_as_well(desk: Desk) -> None:
    real = desk.home / "dotfiles" / "cursor.json"
    real.parent.mkdir()
    real.write_text(GIT)
    (link := desk.home / ".cursor" / "mcp.json").parent.mkdir()
    link.symlink_to(real)
    (left := real.parent / ".cursor.json.mcp-shim-abcdefgh").touch()
    assert leftovers(link) == [left]


@pytest.mark.parametrize("value", ["nan", "inf", "[-nan, +inf, 1_0.5]"])
def test_numbers_that_json_has_not_are_kept_in_toml(desk: Desk, value: str) -> None:
    file = desk.home / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text(text := f'odd = {value}\n\n[mcp_servers.git]\ncommand = "mcp-server-git"\nlimit = {value}\n')
    desk.connect(CLIENTS["codex"])
    assert desk.names(CLIENTS["codex"]) == {ENTRY}
    assert f"odd = {value}\n" in file.read_text()
    file.write_text(file.read_text().replace("odd", "odder"))
    undone = desk.undo(CLIENTS["codex"])
    assert undone is not None
    assert [server.name for server in undone.back] == ["git"]
    assert desk.names(CLIENTS["codex"]) == {"git"}
    file.write_text(text)
    desk.connect(CLIENTS["codex"])
    desk.undo(CLIENTS["codex"])
    assert file.read_text() == text


def test_a_file_that_is_named_is_changed_and_put_back_as_a_projects(desk: Desk) -> None:
    named = desk.home.parent / "odd place" / "servers.json"
    named.parent.mkdir()
    named.write_text(GIT)
    desk.machine = Machine(desk.home, desk.project, {"PATH": "/usr/bin"}, "linux", (named,))
    done = desk.connect(CLIENTS["claude-desktop"])
    assert [server.name for server in done.moved] == ["git"]
    assert json.loads(named.read_text()) == {"mcpServers": {}}
    undone = desk.undo(CLIENTS["claude-desktop"])
    assert undone is not None
    assert undone.exact
    assert named.read_text() == GIT
    assert not beside(named)
