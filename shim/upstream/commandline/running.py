"""One run of a program: started with what it is given and nothing more, read as far as it may write, ended with all
that it started.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shim.upstream.child import Child
from shim.upstream.commandline.stderr import Stderr
from shim.upstream.folders import Folders, remove
from shim.upstream.guarding import Guards
from shim.upstream.program import CannotStart, Program
from shim.upstream.unbroken import unbroken

_AFTER: Final = 0.2
"""Seconds after its end in which what a program wrote is read, while something else still has its streams."""


class TooMuch(Exception):
    """It wrote more than it may."""


@dataclass(frozen=True, slots=True)
class Run:
    """What to start, and what it reads. `limit` in bytes of its stdout."""

    name: str
    what: Program
    stdin: bytes = field(repr=False)
    limit: int


@dataclass(frozen=True, slots=True)
class Ran:
    """How it ended: negative for a signal."""

    code: int
    output: bytes = field(repr=False)


async def run(asked: Run, guards: Guards, hide: Callable[[str], str], stderr: Stderr) -> Ran:
    """Raises CannotStart and TooMuch. When it returns, raises or is cancelled, all that it has started is gone."""
    child = await guards.start(asked.name, asked.what, hide, stderr)
    try:
        return await _read(child, asked)
    finally:
        await child.stop(grace=0)


async def _read(child: Child, asked: Run) -> Ran:
    child.input.write(asked.stdin)
    child.input.close()
    pieces: list[bytes] = []
    size = 0
    while chunk := await child.output.read():
        pieces.append(chunk)
        size += len(chunk)
        if size > asked.limit:
            raise TooMuch
    await asyncio.wait([child.exited])
    await child.finished(_AFTER)
    return Ran(child.exited.result(), b"".join(pieces))


@asynccontextmanager
async def private(folders: Folders) -> AsyncIterator[Path]:
    """A folder for one call, with a home and a place to work in it. Afterwards it is gone. Raises CannotStart."""
    try:
        folder = folders.make()
        for name in ("home", "work"):
            (folder / name).mkdir(mode=0o700)
    except OSError as error:
        raise CannotStart(f"it cannot have a private folder ({error.strerror or error})") from None
    try:
        yield folder
    finally:
        await unbroken(asyncio.to_thread(remove, folder))


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Private files in a new folder. Raises CannotStart."""
    try:
        folder.mkdir(mode=0o700)
        for name, content in files.items():
            path = folder / name
            path.touch(mode=0o600, exist_ok=False)
            path.write_bytes(content)
    except OSError as error:
        raise CannotStart(f"a private file cannot be written ({error.strerror or error})") from None
