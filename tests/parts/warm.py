"""`mcp-shim` in a process of its own that has not to import everything first.

Importing is most of what a start takes, and tests start it hundreds of times. Here a server that has imported all of
it, and runs nothing, is forked for each start: the same program, with its own arguments, environment, working
directory and files. That it imports what it needs, and starts from nothing, is shown where it is started by its path.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import multiprocessing
import os
import pkgutil
import runpy
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.reduction import DupFd
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO, TypeAlias
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
    """In the new process: what a new interpreter would find, and then the command, or `python -m` a module."""
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
    if argv[0] == sys.executable:
        [_, _, module, *words] = argv
        sys.argv, sys.path[0] = [module, *words], folder
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    sys.argv, sys.path[0] = list(argv), str(Path(argv[0]).parent)
    from shim.cli.main import main

    main()


@dataclass
class Forked:
    """Such a process, with what tests use of `asyncio.subprocess.Process`."""

    pid: int
    stdin: asyncio.StreamWriter | None
    stdout: asyncio.StreamReader | None
    stderr: asyncio.StreamReader | None
    _ended: asyncio.Future[int] = field(repr=False)

    @property
    def returncode(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def communicate(self, content: bytes = b"") -> tuple[bytes, bytes]:
        async def read(stream: asyncio.StreamReader | None) -> bytes:
            return b"" if stream is None else await stream.read()

        out, err, _, _ = await asyncio.gather(read(self.stdout), read(self.stderr), self._feed(content), self.wait())
        return out, err

    async def _feed(self, content: bytes) -> None:
        if self.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.stdin.write(content)
                await self.stdin.drain()
            self.stdin.close()

    def send_signal(self, number: int) -> None:
        if not self._ended.done():
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process: TypeAlias = asyncio.subprocess.Process | Forked


async def start(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    folder: Path | None = None,
    limit: int = 2**16,
) -> Process:
    """As `asyncio.create_subprocess_exec`; of the files, each is None or PIPE."""
    if COLD or any(name.startswith(_INTERPRETERS) for name in environment):
        return await asyncio.create_subprocess_exec(
            *argv, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder, limit=limit
        )
    loop = asyncio.get_running_loop()
    writer: asyncio.StreamWriter | None = None
    readers: dict[int, asyncio.StreamReader] = {}
    files = [0, 1, 2]
    with contextlib.ExitStack() as theirs:
        if stdin is not None:
            files[0], ours = os.pipe()
            theirs.callback(os.close, files[0])
            protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
            transport, _ = await loop.connect_write_pipe(lambda: protocol, os.fdopen(ours, "wb"))
            writer = asyncio.StreamWriter(transport, protocol, None, loop)
        for number in (number for number, wanted in ((1, stdout), (2, stderr)) if wanted is not None):
            ours, files[number] = os.pipe()
            theirs.callback(os.close, files[number])
            readers[number] = reader = asyncio.StreamReader(limit=limit)
            reading = asyncio.StreamReaderProtocol(reader)
            await loop.connect_read_pipe(lambda reading=reading: reading, os.fdopen(ours, "rb"))  # type: ignore[misc]
        pid, ended = _fork(argv, environment, folder or Path.cwd(), files)
    return Forked(pid, writer, readers.get(1), readers.get(2), ended)


def _fork(
    argv: Sequence[str], environment: Mapping[str, str], folder: Path, files: Sequence[int]
) -> tuple[int, asyncio.Future[int]]:
    arguments = (tuple(argv), dict(environment), str(folder), *map(_File, files))
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

    pid = process.pid
    loop.add_reader(process.sentinel, end)
    return pid, ended


async def run(
    argv: Sequence[str], environment: Mapping[str, str], stdin: bytes = b"", *, folder: Path | None = None
) -> tuple[int, str, str]:
    """The command to its end: its exit code, what it wrote to standard output and to standard error."""
    pipe = asyncio.subprocess.PIPE
    process = await start(argv, environment, stdin=pipe, stdout=pipe, stderr=pipe, folder=folder)
    out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
