"""Moto's server, which answers as AWS does: from a virtual environment of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.parts.install import LOCKS, venv

START = 60.0
"""Seconds that a start may take on a busy machine."""


@asynccontextmanager
async def moto() -> AsyncIterator[str]:
    """The server's URL, until the block ends."""
    program = venv("moto", LOCKS / "moto.txt", compiled=False) / "bin" / "moto_server"
    process = await asyncio.create_subprocess_exec(
        program, "--host", "127.0.0.1", "--port", "0", stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield await asyncio.wait_for(_url(process), START)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _url(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if found := re.search(rb"http://127\.0\.0\.1:\d+", line):
            return found[0].decode()
    raise AssertionError("moto did not start")
