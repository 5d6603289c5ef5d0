"""Every command of the pages below docs/ runs, and prints what the page says; what the pages show is what there is."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from shim.clients.registry import CLIENTS
from shim.clients.server import ClientName
from shim.model import Reason, Status
from tests.docs.console import blocks, section
from tests.docs.given import KEY, assistant, installation
from tests.docs.world import BIN, World, environment, follow
from tests.parts import warm
from tests.parts.install import ROOT

DOCS = ROOT / "docs"

TWO_IDENTITIES = """\
version: 1
upstreams:
  time: {command: [mcp-server-time, --local-timezone, Etc/UTC]}
identities:
  me: {local: true}
  agent: {}
grants: []
"""

BROKEN = """\
version: 1
store: sqlite:config/var/shim.db
upstreams:
  git: {command: [mcp-server-git, --repository, nowhere]}
identities:
  me: {local: true}
grants:
  - {name: look, to: [me], allow: [git/git_log]}
"""


@pytest.fixture
def newcomer(tmp_path: Path) -> World:
    """A home in which Claude Code has two servers, a project, and a shell that stands there."""
    home = tmp_path / "home"
    variables = environment(home)
    assistant(home)
    return World(home, variables)


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration that comes with the project and its sample repository, with calls on the record."""
    folder = tmp_path_factory.mktemp("called") / "mcp-shim"
    installation(folder)
    (folder / "broken.yaml").write_text(BROKEN)
    world = World(folder, environment(folder.parent / "home"))
    for tool, arguments, code in (
        ("git/git_log", {"repo_path": "var/sample", "max_count": 1}, 0),
        ("git/git_reset", {"repo_path": "var/sample"}, 1),
    ):
        done, told = world.run(f"mcp-shim call --identity me {tool} '{json.dumps(arguments)}'")
        assert done == code, told
    return folder


@pytest.fixture
def operator(called: Path, tmp_path: Path) -> World:
    """A shell where such an installation is, for one test."""
    return World(Path(shutil.copytree(called, tmp_path / "mcp-shim")), environment(tmp_path / "home"))


def test_getting_started(newcomer: World) -> None:
    follow("docs/getting-started.md", (DOCS / "getting-started.md").read_text(), newcomer)
    # The page says that keys move, and that the client's file has the shim alone.
    claude = json.loads((Path(newcomer.variables["HOME"]) / ".claude.json").read_text())
    assert list(claude["mcpServers"]) == ["mcp-shim"]
    holding = [path.name for path in newcomer.folder.rglob("*") if path.is_file() and KEY in path.read_text("latin-1")]
    assert holding == ["github-token"]


@pytest.mark.parametrize("name", ["allowlist.md", "reading-the-log.md", "troubleshooting.md"])
def test_for_the_operator(name: str, operator: World) -> None:
    follow(f"docs/{name}", (DOCS / name).read_text(), operator)


@pytest.mark.parametrize("client", list(CLIENTS))
@pytest.mark.parametrize("identity", ["me", "agent"])
async def test_what_is_shown_for_a_client_is_what_connect_prints(
    client: ClientName, identity: str, tmp_path: Path
) -> None:
    # Given the configuration at the place that the page speaks of
    variables = environment(tmp_path / "home")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "shim.yaml").write_text(TWO_IDENTITIES)
    page = section((DOCS / "getting-started.md").read_text(), CLIENTS[client].title)

    # When it is asked for the client's entry
    argv = (str(BIN / "mcp-shim"), "connect", client, "--identity", identity)
    code, printed, said = await warm.run(argv, variables, folder=tmp_path)
    if code == 2:
        assert "cannot send a token" in said
        assert "token" in page
        return

    # Then the page shows it, and where it goes
    assert code == 0
    shown = printed.replace(str(BIN), "/home/you/.venv/bin").replace(str(tmp_path), "/home/you/shim")
    syntax = "toml" if CLIENTS[client].syntax == "toml" else "json"
    assert shown in blocks(page, syntax), f"docs/getting-started.md, {CLIENTS[client].title}, should show:\n{shown}"
    place = re.search(r"put this into (\S+),", said)
    assert place is not None
    assert place[1].replace(variables["HOME"], "~") in page


async def test_what_is_shown_of_grants_is_accepted(operator: World) -> None:
    # Given each piece on the page, put into the configuration that the page is about
    base = yaml.safe_load((operator.folder / "config" / "shim.yaml").read_text())
    pieces = blocks((DOCS / "allowlist.md").read_text(), "yaml")
    assert pieces
    for piece in pieces:
        config = operator.folder / "config" / "piece.yaml"
        config.write_text(yaml.safe_dump({**base, **yaml.safe_load(piece)}))
        # Then the tools' own schemas bear it out.
        code, told, more = await warm.run((str(BIN / "mcp-shim"), "check", "--config", str(config)), operator.variables)
        assert code == 0, f"{piece}\n{told}{more}"
        assert "warning" not in told + more, f"{piece}\n{told}{more}"


def test_every_reason_and_status_that_this_version_gives_is_explained() -> None:
    page = (DOCS / "reading-the-log.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "shim").rglob("*.py") if path.name != "model.py")
    given = [reason for reason in Reason if f"Reason.{reason.name}" in source]
    assert given
    missing = [code.value for code in (*given, *Status) if f"| `{code.value}` |" not in page]
    assert missing == []
