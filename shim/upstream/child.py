"""The process of a stdio upstream: how it starts, what it is given, and that all of it is gone in the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from shim.upstream.exchange import Allowance
from shim.upstream.lines import Lines, TooLong
from shim.upstream.pace import pieces
from shim.upstream.strays import Strays
from shim.upstream.watchdog import Watchdog

_HIGH_WATER = 256 * 1024
_STDERR_LINE = 2000
_STDERR_BURST, _STDERR_PER_SECOND, _STDERR_PAUSE = 500.0, 50.0, 0.05
_GRACE, _TERM_GRACE, _KILL_GRACE = 2.0, 1.0, 2.0

# The shell waits for one line before it becomes the program: by then the watchdog knows the group, and if we die
# first the pipe closes and nothing starts. Variables that shells add by themselves are not the upstream's to see.
_LAUNCH = 'unset PWD OLDPWD SHLVL _; IFS= read -r go && exec "$@"'

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


class CannotStart(Exception):
    """The program cannot be started; `str()` says why in words that are safe to show."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: `argv[0]` is an absolute path, `env` all the variables it gets, secrets among them."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: str


def program(command: tuple[str, ...], env: Mapping[str, str], cwd: str, ours: Mapping[str, str]) -> Program:
    """Find a configured command. Of our own environment it gets PATH, HOME and LANG, no more.

    Without a slash it is looked up in PATH, with one it is relative to `cwd`. Raises CannotStart.
    """
    given = {key: ours[key] for key in ("PATH", "HOME", "LANG") if key in ours} | dict(env)
    given.setdefault("PATH", os.defpath)
    if not Path(cwd).is_dir():
        raise CannotStart("its working directory does not exist")
    wanted = command[0]
    found = shutil.which(str(Path(cwd, wanted)) if "/" in wanted else wanted, path=given["PATH"])
    if found is None:
        raise CannotStart(f"the program {wanted} was not found, or may not be executed")
    return Program((str(Path(found).absolute()), *command[1:]), given, cwd)


def visible(line: bytes) -> str:
    """One line for a log: control and bidirectional characters escaped, bounded."""
    text = line[:_STDERR_LINE].decode("utf-8", "backslashreplace").rstrip("\r")
    text = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    return text + " ..." if len(line) > _STDERR_LINE else text


class Child(asyncio.SubprocessProtocol):
    """A running program in a session of its own. Its output waits in `read`, bounded; its stderr goes to a logger."""

    def __init__(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        self._log = logging.getLogger(f"shim.upstream.{name}")
        self._transport: asyncio.SubprocessTransport | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._ended = False
        self._reader: asyncio.Future[None] | None = None
        self._writers: deque[asyncio.Future[None]] = deque()
        self._full = False
        self._stdin_lost = False
        self._errors = Lines(64 * 1024)
        self._allowance = Allowance(_STDERR_BURST, _STDERR_PER_SECOND, loop.time)
        self._dropped = 0
        self._dropping = False
        self.exited: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def start(cls, name: str, what: Program, watchdog: Watchdog) -> Child:
        """Raises CannotStart."""
        loop = asyncio.get_running_loop()
        child = cls(name)
        try:
            transport, _ = await loop.subprocess_exec(
                lambda: child,
                *("/bin/sh", "-c", _LAUNCH, "sh", *what.argv),
                env=dict(what.env),
                cwd=what.cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotStart(f"it could not be started ({error.strerror or error})") from None
        child._transport = transport
        try:
            watchdog.know(child.pid)
        except OSError:
            await child.stop(watchdog)
            raise CannotStart("the process that guards its end could not be started") from None
        child.write(b"\n")
        return child

    @property
    def pid(self) -> int:
        """Also the id of its process group and session."""
        return self._started.get_pid()

    @property
    def code(self) -> int | None:
        return self._started.get_returncode()

    @property
    def _started(self) -> asyncio.SubprocessTransport:
        if self._transport is None:
            raise RuntimeError("the child has not been started")
        return self._transport

    @property
    def _stdin(self) -> asyncio.WriteTransport:
        return cast(asyncio.WriteTransport, self._started.get_pipe_transport(0))

    @property
    def _deaf(self) -> bool:
        # A pipe is closed a moment before anyone is told, and in between it takes nothing.
        return self._stdin_lost or self._stdin.is_closing()

    def write(self, data: bytes) -> None:
        """Queue bytes for its stdin, all of them or (when stdin is gone) none."""
        if not self._deaf:
            self._stdin.write(data)

    @property
    def unread(self) -> int:
        """Bytes written that it has not taken yet."""
        return self._stdin.get_write_buffer_size()

    async def writable(self) -> None:
        """Return when it has taken most of what was written. Raises BrokenPipeError when it takes no more."""
        while self._full and not self._deaf:
            waiter = asyncio.get_running_loop().create_future()
            self._writers.append(waiter)
            await waiter
        if self._deaf:
            raise BrokenPipeError

    async def read(self) -> bytes:
        """All that has come of its stdout since the last time, once there is some; empty at the end."""
        while not self._chunks and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        before, self._buffered = self._buffered, 0
        if before > _HIGH_WATER and not self._ended:
            self._output(1).resume_reading()
        return data

    async def stop(self, watchdog: Watchdog) -> None:
        """End it and everything in its process group: stdin closed, then SIGTERM, then SIGKILL. Bounded in time.

        On Linux also what it has started outside the group and is still below it now.
        """
        # Once it has exited its id may be somebody else's.
        strays = Strays(None if self.exited.done() else self.pid)
        try:
            self._stdin.close()
            await asyncio.wait([self.exited], timeout=_GRACE)
            self._signal(signal.SIGTERM)
            if not self.exited.done():
                await asyncio.wait([self.exited], timeout=_TERM_GRACE)
            # Also when the leader has gone: what it started may still be there, under the same group.
            self._signal(signal.SIGKILL)
            await asyncio.wait([self.exited], timeout=_KILL_GRACE)
        finally:
            strays.end()
        watchdog.forget(self.pid)
        self._started.close()
        self._end()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._complaints(data)
            return
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > _HIGH_WATER:
            self._output(1).pause_reading()
        self._wake()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        if fd == 0:
            self._stdin_lost = True
            self.resume_writing()
        elif fd == 1:
            self._end()

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)
        self._stdin_lost = True
        self.resume_writing()
        # What it left behind may hold its stdout open for ever; what it wrote itself is read within an instant.
        asyncio.get_running_loop().call_later(0.2, self._end)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        while self._writers:
            waiter = self._writers.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _end(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _output(self, fd: int) -> asyncio.ReadTransport:
        return cast(asyncio.ReadTransport, self._started.get_pipe_transport(fd))

    def _complaints(self, data: bytes) -> None:
        for piece in pieces(data):
            if not self._dropping:
                for line in self._errors.feed(piece):
                    self._complain(line)
            else:
                # Counted, not cut: a flood costs as little as can be.
                self._dropped += self._errors.skip(piece)
        if self._dropping:
            self._output(2).pause_reading()
            asyncio.get_running_loop().call_later(_STDERR_PAUSE, self._listen_again)

    def _listen_again(self) -> None:
        self._dropping = False
        with contextlib.suppress(RuntimeError):
            self._output(2).resume_reading()

    def _complain(self, line: bytes | TooLong) -> None:
        if not self._allowance.spend():
            self._dropped += 1
            self._dropping = True
            return
        if self._dropped:
            self._log.warning("%d lines of stderr were dropped", self._dropped)
            self._dropped = 0
        self._log.info("%s", visible(line.head if isinstance(line, TooLong) else line))
