"""`demo`: every step of the tour ends as it says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.promises.running import SHIM, environment

STEPS = ("Unknown tool: git__git_commit", "condition-false", "unbroken", "BROKEN at event")


# The page of the project has it among its commands, and it is held to this there.
@pytest.mark.soak
async def test_the_tour(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(SHIM, "demo", "--fast"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**environment(tmp_path), "TMPDIR": str(tmp_path)},
    )
    out, err = await process.communicate()
    told = out.decode()
    assert process.returncode == 0, told + err.decode()
    for what in STEPS:
        assert what in told
    assert left(tmp_path) == []


async def test_without_its_servers_it_says_how_to_get_them(tmp_path: Path) -> None:
    # given a path on which neither they nor git are, beside an interpreter that has no scripts of its own
    process = await asyncio.create_subprocess_exec(
        *("/usr/bin/env", "-i", f"PATH={tmp_path}", SHIM, "demo", "--fast"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode() == "mcp-shim: the demo needs git: install git\n"


def left(folder: Path) -> list[str]:
    """What a tour has not taken away again."""
    return [path.name for path in folder.iterdir() if path.name.startswith("mcp-shim-demo-")]
