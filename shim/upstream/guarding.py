"""Starts every child of the shim, below a guard: all that came of one is gone when it is over, however it is over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import anyio

from shim.upstream import guard
from shim.upstream.child import Child
from shim.upstream.complaints import Complaints
from shim.upstream.program import CannotStart, Program
from shim.upstream.streams import connect

_log = logging.getLogger("shim.upstream")

_STARTING: Final = 10.0
_ENDING: Final = 2.0

_IDLE: Final = 16
"""Guards that wait for their next program, at most."""

_TRIES: Final = 3


class Guards:
    """Starts programs below guards (see `shim.upstream.guard`), which are used again. Started on first use."""

    def __init__(self) -> None:
        self._folder: bytes | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._idle: list[_Guard] = []

    async def start(
        self, name: str, what: Program, hide: Callable[[str], str], heard: Callable[[bytes], None] | None = None
    ) -> Child:
        """`hide` takes out of what it says on stderr what nobody should read; `heard` gets all of that as it comes.

        Raises CannotStart.
        """
        run = Child(Complaints(name, hide, heard))
        # Left half-way, nobody would know of it.
        with anyio.CancelScope(shield=True):
            try:
                async with asyncio.timeout(_STARTING):
                    await self._begin(run, what)
                    await run.started
            except OSError as error:
                await run.stop()
                raise CannotStart(f"it could not be started ({error.strerror or 'nothing guards its end'})") from None
        return run

    def clear(self, folder: Path) -> None:
        """From now on this folder goes with us, after all that runs. Raises OSError."""
        self._folder = os.fsencode(folder)
        if self._control is not None:
            self._tell(self._control)

    async def stop(self) -> None:
        """End the guards, once what they ran is over."""
        process, idle, self._idle = self._process, self._idle, []
        for one in idle:
            one.close()
        self._leave()
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, _ENDING)

    async def _begin(self, run: Child, what: Program) -> None:
        """Hand a run to a guard. Raises OSError."""
        with ExitStack() as theirs:
            streams = await connect(theirs, run.input, run.output, run.complaints)
            wanted = guard.packed(what.argv, what.env, what.cwd)
            for _ in range(_IDLE + _TRIES):
                # One that is killed meanwhile takes nothing, as does one that nobody is there to fork.
                with contextlib.suppress(ConnectionError):
                    await (self._idle.pop() if self._idle else self._another()).take(run, streams, wanted)
                    return
            raise ConnectionError

    def _another(self) -> _Guard:
        """Another guard. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._fork(theirs)
        except OSError:
            ours.close()
            raise
        return _Guard(ours, self)

    def _fork(self, link: socket.socket) -> None:
        if self._control is None:
            self._control = self._begun()
        try:
            socket.send_fds(self._control, [guard.FORK], [link.fileno()])
        except ConnectionError:
            _log.warning("the process that guards the ends of others had ended; starting another")
            self._leave()
            raise

    def _begun(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            # A session of its own: a Ctrl-C at the terminal must not reach it before it has done its work.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        ours.setblocking(False)
        self._tell(ours)
        return ours

    def _tell(self, control: socket.socket) -> None:
        # One that has ended is told when the next is started.
        if self._folder is not None:
            with contextlib.suppress(ConnectionError):
                control.sendall(guard.CLEAR + guard.SIZE.pack(len(self._folder)) + self._folder)

    def _leave(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            control.close()

    def free(self, one: _Guard) -> None:
        """One has nothing to do."""
        if self._control is not None and len(self._idle) < _IDLE:
            self._idle.append(one)
        else:
            one.close()

    def forget(self, one: _Guard) -> None:
        """One is not to be had any more."""
        if one in self._idle:
            self._idle.remove(one)


class _Guard:
    """The shim's end of a guard's socket."""

    def __init__(self, link: socket.socket, guards: Guards) -> None:
        link.setblocking(False)
        self._link = link
        self._guards = guards
        self._heard = b""
        self._run: Child | None = None
        self._loop = asyncio.get_running_loop()
        self._taken: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(link, self._hear)

    async def take(self, run: Child, streams: Sequence[int], wanted: bytes) -> None:
        """Have a program run. Raises ConnectionError, with which nothing is started, or another OSError."""
        self._run, self._taken = run, self._loop.create_future()
        try:
            socket.send_fds(self._link, [guard.SIZE.pack(len(wanted))], streams)
            await self._loop.sock_sendall(self._link, wanted)
            await self._taken
        except BaseException:
            self._taken.cancel()
            self.close()
            raise

    def end(self) -> None:
        """Ask for the end of what runs."""
        # Where it has gone, that is heard.
        with contextlib.suppress(OSError):
            self._link.send(guard.SIZE.pack(0))

    def close(self) -> None:
        """Nothing more is asked of it; what it runs is ended."""
        if self._link.fileno() < 0:
            return
        self._guards.forget(self)
        self._loop.remove_reader(self._link)
        self._link.close()
        if not self._taken.done():
            self._taken.set_exception(ConnectionError())
        elif self._run is not None and not self._taken.cancelled():
            self._run.lose()
        self._run = None

    def _hear(self) -> None:
        try:
            data = self._link.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._heard += data
        size = guard.REPORT.size
        while len(self._heard) >= size:
            report, self._heard = self._heard[:size], self._heard[size:]
            self._learn(*guard.REPORT.unpack(report))

    def _learn(self, what: bytes, number: int) -> None:
        run = self._run
        if run is None:
            return
        if what == guard.TAKEN:
            self._taken.set_result(None)
            run.guard = self
        elif what == guard.STARTED:
            run.begin()
        elif what == guard.FAILED:
            run.begin(OSError(number, os.strerror(number)))
        elif what == guard.EXITED:
            run.end(number)
        else:
            self._run = None
            run.lose()
            self._guards.free(self)
