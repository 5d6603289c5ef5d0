"""Every command of the README runs from a fresh checkout, and prints what the README says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from shim.config.loader import load
from tests.cli.test_demo import STEPS, left
from tests.docs.console import Command, blocks, section
from tests.docs.given import assistant, checkout
from tests.docs.world import World, follow
from tests.parts.install import ROOT

README = (ROOT / "README.md").read_text()

FIVE = "Five minutes"
INSTALL = 'pip install ".[demo]"'
OFFLINE = "--no-deps --no-build-isolation --target ../installed"
"""Builds and installs what is there, but for what it needs: that is held by the tests of the release."""


@pytest.fixture
def copy(tmp_path: Path) -> World:
    return checkout(tmp_path / "mcp-shim")


def _instead(text: str) -> str:
    return f"{text} {OFFLINE}" if text == INSTALL else text


def test_the_five_minutes(copy: World) -> None:
    assistant(Path(copy.variables["HOME"]))
    follow("README.md", section(README, FIVE), copy, instead=_instead)
    assert copy.folder.name == "shim"
    assert (copy.folder.parents[1] / "installed" / "shim" / "config" / "shim.schema.json").is_file()


def test_every_other_command_prints_what_the_page_says(copy: World) -> None:
    listening = re.search(r"127\.0\.0\.1:\d+", (copy.folder / "config" / "shim.yaml").read_text())
    assert listening is not None
    there = listening[0]
    rest = README.replace(section(README, FIVE).strip(), re.sub(r"[^\n]", "", section(README, FIVE).strip()))
    temporary = copy.folder.parent / "temporary"
    temporary.mkdir()
    copy.variables["TMPDIR"] = str(temporary)
    tours = []

    def toured(command: Command, told: str) -> None:
        if command.text == "mcp-shim demo":
            tours.append(command)
            assert [step for step in STEPS if step not in told] == []
            assert left(temporary) == []

    follow("README.md", rest, copy, printed=lambda text: text.replace("127.0.0.1:8765", there), between=toured)
    assert len(tours) == 1


def test_what_make_run_says_to_paste_is_what_it_serves(copy: World) -> None:
    with copy.serving("make run") as told:
        pass
    [url] = re.findall(r"^listening on (\S+)$", told, re.MULTILINE)
    [token] = re.findall(r"^  (mcpshim_[\w-]{43})$", told, re.MULTILINE)
    assert f'claude mcp add --transport http mcp-shim {url} --header "Authorization: Bearer {token}"' in told
    assert re.search(r"\S+/mcp-shim stdio --identity me --config \S+/config/shim\.yaml", told)


def test_it_runs_again_with_the_same_token_and_says_when_the_port_is_taken(copy: World) -> None:
    with copy.serving("make run") as first:
        code, second = copy.run("make run")
        assert code != 0
        assert "already in use" in second
    with copy.serving("make run") as third:
        pass
    tokens = [re.findall(r"mcpshim_[\w-]{43}", told) for told in (first, third)]
    assert tokens[0]
    assert set(tokens[0]) == set(tokens[1])


def test_the_first_allowlist_is_one(copy: World) -> None:
    text = blocks(README, "yaml")[0]
    (copy.folder / "shim.yaml").write_text(text)
    code, told = copy.run("mcp-shim check --offline --config shim.yaml")
    assert (code, told.splitlines()[-1]) == (0, "ok: 2 grants, 1 upstream")


def test_the_credential_for_one_call_is_a_configuration(tmp_path: Path) -> None:
    piece = yaml.safe_load(blocks(README, "yaml")[1])
    config = tmp_path / "shim.yaml"
    config.write_text(yaml.safe_dump({"version": 1, "identities": {"me": {}}, **piece}))
    assert load(config, {"BAO_SECRET_ID": "not-a-real-one"}).secrets.keys() == {"db"}
