"""`init --sample`: what is refused, and that nothing is written over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shim.config import samples
from tests.parts.install import ROOT
from tests.promises.running import run


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", samples.NAMES)
async def test_a_sample_is_the_example_beside_its_schema(tmp_path: Path, name: str) -> None:
    config = tmp_path / "new" / "shim.yaml"
    code, out, err = await run(config, "init", "--sample", name, "--json")
    assert (code, json.loads(out), err) == (0, {"config": str(config), "sample": name}, "")
    first, _, rest = config.read_text().partition("\n")
    assert first == "# yaml-language-server: $schema=shim.schema.json"
    assert rest == (ROOT / "examples" / name / "shim.yaml").read_text().partition("\n")[2]
    assert _files(config.parent) == {"shim.yaml", "shim.schema.json", "var", "var/.gitignore"}
    assert (config.stat().st_mode & 0o777, config.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--sample", "none\x1b[2J"], 2, "there are laptop, team, ci"),
        (["--sample", "../ci"], 2, "there are laptop, team, ci"),
        (["--sample", "ci", "--from", "cursor"], 2, "a sample is taken as it is"),
        (["--sample", "ci", "--keyring"], 2, "a sample is taken as it is"),
    ],
)
async def test_what_is_refused_makes_nothing(tmp_path: Path, arguments: list[str], code: int, why: str) -> None:
    ended, out, err = await run(tmp_path / "new" / "shim.yaml", "init", *arguments)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert why in err
    assert "\x1b" not in err
    assert _files(tmp_path) == set()


async def test_nothing_is_written_over(tmp_path: Path) -> None:
    config = tmp_path / "shim.yaml"
    config.write_text("mine")
    code, _, err = await run(config, "init", "--sample", "ci")
    assert code == 1
    assert "is there already" in err
    assert config.read_text() == "mine"
    assert _files(tmp_path) == {"shim.yaml"}
