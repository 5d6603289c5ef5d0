"""One run of a program: started with what it is given and nothing more, read as far as it may write, ended with all
that it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio

from shim.upstream.child import Child
from shim.upstream.commandline.stderr import Stderr
from shim.upstream.folders import Folders, remove
from shim.upstream.program import CannotStart, Program
from shim.upstream.watchdog import Watchdog

_AFTER: Final = 0.2
"""Seconds after its end in which what a program wrote is read, while something else still has its streams."""

_DYING: Final = 2.0
"""Seconds in which what was killed is gone."""


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


async def run(asked: Run, watchdog: Watchdog, hide: Callable[[str], str], stderr: Stderr) -> Ran:
    """Raises CannotStart and TooMuch. When it returns, raises or is cancelled, its process group is gone."""
    child = await Child.start(asked.name, asked.what, watchdog, hide, stderr)
    try:
        return await _read(child, asked)
    finally:
        with anyio.CancelScope(shield=True):
            await child.stop(watchdog, grace=0)


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
    assert child.code is not None
    return Ran(child.code, b"".join(pieces))


@asynccontextmanager
async def private(folders: Folders) -> AsyncIterator[Path]:
    """A folder for one call, with a home and a place to work in it. Afterwards it is gone, and who has its home there.

    Raises CannotStart.
    """
    try:
        folder = folders.make()
        for name in ("home", "work"):
            (folder / name).mkdir(mode=0o700)
    except OSError as error:
        raise CannotStart(f"it cannot have a private folder ({error.strerror or error})") from None
    try:
        yield folder
    finally:
        with anyio.CancelScope(shield=True):
            await asyncio.to_thread(_clear, folder)


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


def _clear(folder: Path) -> None:
    _end_by_home(folder)
    remove(folder)


def _end_by_home(folder: Path) -> None:
    """End all that still has the call's home, also what left the group; return when it is over. Linux only."""
    if sys.platform != "linux":
        return
    mark = b"HOME=" + os.fsencode(folder) + b"/"
    deadline = time.monotonic() + _DYING
    # Once more where there was any: meanwhile it may have started others.
    while _ended(mark, deadline) and time.monotonic() < deadline:
        pass


def _ended(mark: bytes, deadline: float) -> bool:
    """End all that has this in its environment; whether there was any."""
    ending = select.poll()
    held: set[int] = set()
    for name in os.listdir("/proc"):  # noqa: PTH208 (a hundred paths for each call are dear)
        if name.isdecimal() and mark in _environment(name):
            with contextlib.suppress(OSError):
                # Held, and looked at once more: meanwhile the number may have been given to another.
                one = os.pidfd_open(int(name))
                held.add(one)
                if mark in _environment(name):
                    signal.pidfd_send_signal(one, signal.SIGKILL)
                    ending.register(one, select.POLLIN)
    found = bool(held)
    while held and (left := deadline - time.monotonic()) > 0:
        for one, _ in ending.poll(left * 1000):
            ending.unregister(one)
            held.discard(one)
            os.close(one)
    for one in held:
        os.close(one)
    return found


def _environment(process: str) -> bytes:
    try:
        file = os.open(f"/proc/{process}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, 2**20)
    except OSError:
        return b""
    finally:
        os.close(file)
