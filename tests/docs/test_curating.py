"""The page on curating tools: its configuration is accepted, and its commands print what it says."""

from __future__ import annotations

from pathlib import Path

from shim.config.document import keys_at
from shim.curating import ToolBlock
from tests.docs.console import blocks
from tests.docs.given import installation
from tests.docs.world import World, environment, follow
from tests.parts.install import ROOT

NAME = "docs/tools/curating.md"
PAGE = (ROOT / NAME).read_text()


def test_the_example_does_what_the_page_says(tmp_path: Path) -> None:
    folder = tmp_path / "mcp-shim"
    installation(folder)
    (text,) = blocks(PAGE, "yaml")
    (folder / "config" / "curated.yaml").write_text(text)
    follow(NAME, PAGE, World(folder, environment(tmp_path / "home")))


def test_every_key_is_on_the_page() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert {row.split("`")[1] for row in rows} == set(keys_at(ToolBlock, ()))
