"""Variables that a server gets from a file beside its entry, as its editor hands them over."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from shim.clients import envfile
from shim.clients.adopting import adopt
from shim.clients.errors import Unreadable
from shim.clients.matching import corresponds
from shim.clients.registry import find
from shim.clients.server import Found, Server
from shim.upstream.config import UpstreamBlock
from tests.clients.given import any_text, around

LINES = [
    ("A=1\nB = two words \n", {"A": "1", "B": "two words"}),
    ("export A=1\n# B=2\n\n  C: 3", {"A": "1", "C": "3"}),
    ("A='x # y' # z\nB=x#y\nC=`q`", {"A": "x # y", "B": "x", "C": "q"}),
    ('A="a\\nb"\nB=\'a\\nb\'\nC="', {"A": "a\nb", "B": "a\\nb", "C": '"'}),
    ("\ufeffA=1\r\nA=2\rB=${HOME}", {"A": "2", "B": "${HOME}"}),
    ("A=it's # late\nB=", {"A": "it's # late", "B": ""}),
    ("no name\n=x\nA-B=1\n1A=2\nURL=https://u:p@h/?a=b", {"URL": "https://u:p@h/?a=b"}),
    (
        'K="-----BEGIN PRIVATE KEY-----\nMIIE=\nabc=\n-----END PRIVATE KEY-----"\nA=1',
        {"K": "-----BEGIN PRIVATE KEY-----\nMIIE=\nabc=\n-----END PRIVATE KEY-----", "A": "1"},
    ),
]


@pytest.mark.parametrize(("text", "variables"), LINES, ids=[text[:20] for text, _ in LINES])
def test_lines_are_read_as_the_editor_reads_them(text: str, variables: dict[str, str]) -> None:
    assert envfile.parsed(text) == variables


@given(any_text)
def test_whatever_stands_there_sets_variables_or_is_refused(text: str) -> None:
    for name, value in envfile.parsed(text).items():
        assert name.isascii()
        assert name.isidentifier()
        assert "\r" not in value or "\\r" in text


PRIVATE = "K=-----BEGIN PRIVATE KEY-----\nMIIE=\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("text", [PRIVATE, PRIVATE.replace("=-", "='-", 1), "A=\0"], ids=["bare", "open", "NUL"])
def test_what_would_be_taken_for_names_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        envfile.parsed(text)


class Project:
    """A project of VS Code or Cursor with one server that has an env file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def server(self, client: str, file: Any, **entry: Any) -> Server:
        place, section = {"vscode": (".vscode", "servers"), "cursor": (".cursor", "mcpServers")}[client]
        (self.folder / place).mkdir()
        document = {section: {"one": {"command": "server", "envFile": file, **entry}}}
        (self.folder / place / "mcp.json").write_text(json.dumps(document))
        found = find(None, home=self.folder / "home", folder=self.folder, environ={"SUB": "s"}, system="linux")
        [server] = found.servers
        return server


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize("client", ["vscode", "cursor"])
@pytest.mark.parametrize("place", ["${workspaceFolder}/s/.env", "s/.env", "${workspaceFolder}/${env:SUB}/.env"])
def test_its_values_are_variables_of_the_server_and_the_entry_wins(project: Project, client: str, place: str) -> None:
    (project.folder / "s").mkdir()
    (project.folder / "s" / ".env").write_text("API_TOKEN=t0p\nLOG=debug\nMINE=file\nGONE=x\n")
    server = project.server(client, place, env={"MINE": "entry", "GONE": None})
    assert server.env == {"API_TOKEN": "t0p", "LOG": "debug", "MINE": "entry"}
    assert (server.lacking, server.unread, server.env_file) == ("", (), project.folder / "s" / ".env")
    plan = adopt(Found((server,)), around(), other_projects=True)
    [one] = plan.upstreams
    assert one.env == {"API_TOKEN": "${secret:api-token}", "LOG": "debug", "MINE": "entry"}
    assert plan.secrets == {"api-token": "t0p"}
    assert [".env is copied" in remark for remark in one.remarks] == [True]


def spoil(folder: Path, how: str) -> None:
    file = folder / ".env"
    if how == "missing":
        return
    file.write_text("A=1\n" * (100_000 if how == "huge" else 1))
    if how == "everyone's":
        file.chmod(0o666)
    elif how == "link":
        file.rename(folder / "real")
        (folder / "real").unlink()
        file.symlink_to("real")
    elif how == "pipe":
        file.unlink()
        os.mkfifo(file)
    elif how == "folder":
        file.unlink()
        file.mkdir()
    elif how == "binary":
        file.write_bytes(b"A=\xff\n")


SPOILT = {
    "missing": "no such file",
    "huge": "larger than 64 KiB",
    "everyone's": "chmod o-w",
    "link": "link to nothing",
    "pipe": "not a plain file",
    "folder": "not a plain file",
    "binary": "not UTF-8",
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_file_that_cannot_be_believed_is_said_and_the_server_is_not_taken_for_the_same(
    project: Project, how: str
) -> None:
    spoil(project.folder, how)
    server = project.server("vscode", "${workspaceFolder}/.env", env={"B": "2"})
    assert SPOILT[how] in server.lacking
    assert server.env == {"B": "2"}
    [one] = adopt(Found((server,)), around(), other_projects=True).upstreams
    [remark] = one.remarks
    assert SPOILT[how] in remark
    # The upstream that it became does not stand for it: its client knows more than the configuration.
    block = UpstreamBlock(command=("server",), env={"B": "2"})
    assert not corresponds(server, block, {}, project.folder)


@pytest.mark.parametrize("place", ["${input:where}", "${env:UNSET}/.env", 5, {}, "a\u202eb\n- x"])
def test_a_place_that_nobody_knows_is_said_on_one_line(project: Project, place: Any) -> None:
    server = project.server("cursor", place)
    if place == {}:
        assert server.lacking == ""
    else:
        assert server.lacking
        assert server.lacking.isprintable()
