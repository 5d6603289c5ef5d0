"""`mcp-shim` in a process of its own that has not to import everything first.

Importing is most of what a start takes, and tests start it hundreds of times. Here a server that has imported all of
it, and runs nothing, is forked for each start: the same program, with its own arguments, environment, working
directory and files. That it imports what it needs, and starts from nothing, is shown where it is started by its path.
"""

from __future__ import annotations

import asyncio
import gc
import io
import multiprocessing
import os
import pkgutil
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.reduction import DupFd
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO
from unittest.mock import patch

import shim

COLD = bool(os.environ.get("TESTS_START_COLD"))
"""Whether each start is to be one from nothing after all."""

_INTERPRETERS = ("LD_", "DYLD_", "PYTHON")
"""How variables begin that an interpreter or its loader looks at when it starts."""

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(
    [found.name for found in pkgutil.walk_packages(shim.__path__, "shim.") if found.name != "shim.__main__"]
)


@dataclass(frozen=True)
class _File:
    """Handed over as an open file: what arrives is its number there."""

    number: int

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _arrived, (DupFd(self.number),)


def _arrived(file: Any) -> int:
    number: int = file.detach()
    return number


def _text(number: int, mode: str, errors: str, *, line_buffering: bool = False) -> TextIO:
    file = os.fdopen(number, f"{mode}b", closefd=False)
    return io.TextIOWrapper(file, "utf-8", errors, line_buffering=line_buffering)


def _become(argv: Sequence[str], environment: Mapping[str, str], folder: str, *files: int) -> None:
    """In the new process: what a new interpreter would find, and then the command."""
    gc.freeze()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = _text(0, "r", "surrogateescape")
    sys.stdout = _text(1, "w", "surrogateescape")
    sys.stderr = _text(2, "w", "backslashreplace", line_buffering=True)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = list(argv)
    sys.path[0] = str(Path(argv[0]).parent)
    from shim.cli.main import main

    main()


@dataclass
class Forked:
    """Such a process, with what tests use of `asyncio.subprocess.Process`."""

    pid: int
    _ended: asyncio.Future[int] = field(repr=False)

    @property
    def returncode(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        if not self._ended.done():
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def start(
    argv: Sequence[str],
    environment: Mapping[str, str],
    stdin: int | None,
    stdout: int | None,
    stderr: int,
    *,
    folder: Path | None = None,
) -> asyncio.subprocess.Process | Forked:
    """The command with these open files, which stay the caller's as well, in a folder; None: this process's own."""
    if COLD or any(name.startswith(_INTERPRETERS) for name in environment):
        return await asyncio.create_subprocess_exec(
            *argv, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder
        )
    files = (0 if stdin is None else stdin, 1 if stdout is None else stdout, stderr)
    arguments = (tuple(argv), dict(environment), str(folder or Path.cwd()), *map(_File, files))
    process = _server.Process(target=_become, args=arguments, daemon=True)
    # Or each would import what this process was started with.
    with patch.dict(sys.modules, {"__main__": ModuleType("__main__")}):
        process.start()
    assert process.pid is not None
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end() -> None:
        loop.remove_reader(process.sentinel)
        process.join()
        code = process.exitcode
        process.close()
        if not ended.done():
            assert code is not None
            ended.set_result(code)

    loop.add_reader(process.sentinel, end)
    return Forked(process.pid, ended)


async def pipe() -> tuple[int, asyncio.StreamReader]:
    """The end to write to, for another process, and what is read from it; the caller closes the end."""
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb"))
    return theirs, reader


async def run(
    argv: Sequence[str], environment: Mapping[str, str], stdin: bytes = b"", *, folder: Path | None = None
) -> tuple[int, str, str]:
    """The command to its end: its exit code, what it wrote to standard output and to standard error."""
    # More would wait for a reader.
    assert len(stdin) <= select.PIPE_BUF
    reading, feeding = os.pipe()
    os.write(feeding, stdin)
    os.close(feeding)
    (stdout, out), (stderr, err) = await pipe(), await pipe()
    try:
        process = await start(argv, environment, reading, stdout, stderr, folder=folder)
    finally:
        for file in (reading, stdout, stderr):
            os.close(file)
    said, complained, code = await asyncio.gather(out.read(), err.read(), process.wait())
    return code, said.decode(), complained.decode()
