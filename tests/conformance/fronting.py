"""The reference server, directly and behind a shim that grants everything."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.conformance.server.eras import Era
from tests.parts.odd import ROOT, START
from tests.promises.running import serving, write_config

Transport = Literal["http", "stdio"]


@dataclass(frozen=True, slots=True)
class Combination:
    """Which eras the server behind the shim speaks, and over what the shim reaches it."""

    era: Era
    transport: Transport

    def __str__(self) -> str:
        return f"{self.era}/{self.transport}"


COMBINATIONS = tuple(
    Combination(era, transport) for era in ("both", "legacy", "modern") for transport in ("http", "stdio")
)


PAGE = 3
"""Entries of a page of the server behind the shim, which reads all pages. The suite itself looks at the first alone."""


def argv(combination: Combination, *more: str) -> list[str]:
    """The command that starts the server. It needs the checkout as its working directory."""
    return [
        sys.executable,
        "-m",
        "tests.conformance.server",
        "--era",
        combination.era,
        "--transport",
        combination.transport,
        *more,
    ]


@asynccontextmanager
async def directly(era: Era, *more: str) -> AsyncIterator[str]:
    """The server over HTTP: its URL."""
    process = await asyncio.create_subprocess_exec(
        *argv(Combination(era, "http"), *more), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START)
        assert line, "the reference server did not start"
        yield line.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def configuration(where: str, prefix: str = "") -> str:
    """Everything that one upstream offers, for everybody on this machine, under its own names."""
    return f"""version: 1
store: sqlite:var/shim.db
upstreams:
  reference:
    {where}
    prefix: "{prefix}"
identities:
  guest: {{anonymous: true}}
grants:
  - name: everything
    to: [guest]
    allow: ["reference/*", "prompt:reference/*", "resource:reference/**"]
    allow_from_upstream: [elicitation, sampling, roots]
"""


@asynccontextmanager
async def fronted(combination: Combination, folder: Path) -> AsyncIterator[str]:
    """The shim in front of the server: the shim's URL."""
    pages = ("--page", str(PAGE))
    if combination.transport == "stdio":
        command = argv(combination, *pages, "--state", str(folder / "state.json"))
        where = f"command: {json.dumps(command)}\n    cwd: {ROOT}"
        async with serving(write_config(folder, configuration(where))) as shim:
            yield shim.url
        return
    async with (
        directly(combination.era, *pages) as url,
        serving(write_config(folder, configuration(f"url: {url}"))) as shim,
    ):
        yield shim.url
