"""Starts every child of the shim, below a guard: all that came of one is gone when it is over, however it is over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from shim.upstream import guard
from shim.upstream.child import Child
from shim.upstream.complaints import Complaints
from shim.upstream.program import CannotStart, Program
from shim.upstream.streams import connect
from shim.upstream.unbroken import unbroken

_log = logging.getLogger("shim.upstream")

_STARTING: Final = 10.0
_ENDING: Final = 2.0

_IDLE: Final = 16
"""Guards that wait for their next program, at most."""

_AT_ONCE: Final = 64
"""Programs that are being started. What asks for more guards than that has to wait for them."""

_TRIES: Final = 3

_LIBRARIES: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Where our interpreter may have its own libraries. No program gets these."""


class Guards:
    """Starts programs below guards (see `shim.upstream.guard`), which are used again. Started on first use."""

    def __init__(self) -> None:
        self._folder: bytes | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._idle: list[_Guard] = []
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def start(
        self, name: str, what: Program, hide: Callable[[str], str], heard: Callable[[bytes], None] | None = None
    ) -> Child:
        """`hide` takes out of what it says on stderr what nobody should read; `heard` gets all of that as it comes.

        Raises CannotStart.
        """
        try:
            wanted = guard.packed(what.argv, what.env, what.cwd)
        except ValueError:
            raise CannotStart("a word or variable of its is one that no program can be given") from None
        run = Child(Complaints(name, hide, heard))
        try:
            # Left half-way, nobody would know of it.
            await unbroken(self._started(run, wanted))
        except OSError as error:
            raise CannotStart(f"it could not be started ({error.strerror or 'nothing guards its end'})") from None
        except asyncio.CancelledError:
            await run.stop(grace=0)
            raise
        return run

    def clear(self, folder: Path) -> None:
        """From now on this folder goes with us, after all that runs. Raises OSError."""
        self._folder = os.fsencode(folder)
        if self._control is not None:
            self._tell(self._control)

    async def stop(self) -> None:
        """End the guards, once what they ran is over."""
        process = self._process
        self.wake()
        self._leave()
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, _ENDING)

    async def _started(self, run: Child, wanted: bytes) -> None:
        """Raises OSError, with which nothing is left of it."""
        try:
            async with asyncio.timeout(_STARTING):
                async with self._turns:
                    await self._begin(run, wanted)
                failed = await run.started
        except OSError:
            self.wake()
            await run.stop()
            raise
        if failed is not None:
            await run.stop()
            raise failed

    async def _begin(self, run: Child, wanted: bytes) -> None:
        """Hand a run to a guard. Raises OSError."""
        with ExitStack() as theirs:
            streams = await connect(theirs, run.input, run.output, run.complaints)
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
        return _Guard(ours, self, self._control)

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
        with theirs, ExitStack() as failing:
            failing.callback(ours.close)
            # A session of its own: a Ctrl-C at the terminal must not reach it before it has done its work.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _LIBRARIES if name in os.environ},
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
            failing.pop_all()
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
        while self._idle:
            self._idle.pop().close()
        if control is not None:
            control.close()

    def wake(self) -> None:
        """What stopped the process that guards come from does not stop their ends."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def free(self, one: _Guard) -> None:
        """One has nothing to do."""
        # Where the process that one came from is gone, nobody would see to it that this one ends.
        if one.control is self._control is not None and len(self._idle) < _IDLE:
            self._idle.append(one)
        else:
            one.close()

    def forget(self, one: _Guard) -> None:
        """One is not to be had any more."""
        if one in self._idle:
            self._idle.remove(one)


class _Guard:
    """The shim's end of a guard's socket."""

    def __init__(self, link: socket.socket, guards: Guards, control: socket.socket | None) -> None:
        """`control` of the process that it came from."""
        link.setblocking(False)
        self.control = control
        self._link = link
        self._guards = guards
        self._heard = b""
        self._unsent = memoryview(b"")
        self._run: Child | None = None
        self._loop = asyncio.get_running_loop()
        self._taken: asyncio.Future[bool] = self._loop.create_future()
        self._loop.add_reader(link, self._hear)

    async def take(self, run: Child, streams: Sequence[int], wanted: bytes) -> None:
        """Have a program run. Raises ConnectionError, with which nothing is started, or another OSError."""
        self._run, self._taken = run, self._loop.create_future()
        self._unsent = memoryview(wanted)
        try:
            socket.send_fds(self._link, [guard.SIZE.pack(len(wanted))], streams)
            self._send()
            is_taken = await self._taken
        except BaseException:
            self.close()
            raise
        if not is_taken:
            raise ConnectionError

    def _send(self) -> None:
        # Not by the loop: that would go on waiting for a socket which is closed meanwhile.
        try:
            self._unsent = self._unsent[self._link.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._unsent:
            self._loop.add_writer(self._link, self._send)
        else:
            self._loop.remove_writer(self._link)

    def end(self) -> None:
        """See `shim.upstream.child.Guard`."""
        # Where it has gone, that is heard.
        with contextlib.suppress(OSError):
            self._link.send(guard.SIZE.pack(0))

    def insist(self) -> None:
        """See `shim.upstream.child.Guard`."""
        self._guards.wake()
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Nothing more is asked of it; what it runs is ended."""
        if self._link.fileno() < 0:
            return
        self._guards.forget(self)
        self._loop.remove_reader(self._link)
        self._loop.remove_writer(self._link)
        self._link.close()
        run, self._run = self._run, None
        if not self._taken.done():
            self._taken.set_result(False)
        elif run is not None and run.guard is self:
            run.lose()

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
            run.guard = self
            if not self._taken.done():
                self._taken.set_result(True)
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
