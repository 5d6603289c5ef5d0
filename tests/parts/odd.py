"""Starting the odd server: as a command for a configuration, or over HTTP for as long as a test needs it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

Speaks = Literal["legacy", "modern", "both"]

ROOT = Path(__file__).resolve().parents[2]
START = 30.0
"""Seconds that a start may take on a busy machine."""


def odd_argv(era: Speaks = "both", *, ledger: Path | None = None, page: int = 7) -> list[str]:
    """The command that serves over stdio. It needs `ROOT` as its working directory (`cwd` in a configuration)."""
    more = ["--ledger", str(ledger)] if ledger is not None else []
    return [sys.executable, "-m", "tests.parts.odd_server", "--era", era, "--page", str(page), *more]


@asynccontextmanager
async def odd_http(era: Speaks = "both", *, ledger: Path | None = None, page: int = 7) -> AsyncIterator[str]:
    """The server over HTTP: its URL, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *odd_argv(era, ledger=ledger, page=page), "--http", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START)
        assert line, "the odd server did not start"
        yield line.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """What was executed, in order: `{"tool", "arguments", "pid", "meta"}` each. Empty when there is no file yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines()]
