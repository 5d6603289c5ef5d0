"""The process of a stdio upstream: how it starts, and that all of it is gone in the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import anyio

from shim.upstream.complaints import Complaints
from shim.upstream.program import CannotStart, Program
from shim.upstream.strays import Strays
from shim.upstream.streams import Input, Output, connect
from shim.upstream.watchdog import Watchdog

_GRACE, _TERM_GRACE, _KILL_GRACE = 2.0, 1.0, 2.0

# The shell waits for one line before it becomes the program: by then the watchdog knows the group, and if we die
# first the pipe closes and nothing starts. Variables that shells add by themselves are not the upstream's to see.
_LAUNCH = 'unset PWD OLDPWD SHLVL _; IFS= read -r go && exec "$@"'


class Child:
    """A running program in a session of its own. Its standard streams are pipes of ours; nothing else is open in it."""

    def __init__(self, complaints: Complaints) -> None:
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.input = Input()
        self.output = Output()
        self.complaints = complaints
        self._process: subprocess.Popen[bytes]

    @classmethod
    async def start(
        cls,
        name: str,
        what: Program,
        watchdog: Watchdog,
        hide: Callable[[str], str],
    ) -> Child:
        """`hide` takes out of what it says on stderr what nobody should read. Raises CannotStart."""
        child = cls(Complaints(name, hide))
        # Left half-way, nobody would know of it.
        with anyio.CancelScope(shield=True):
            await child._begin(what)
            try:
                watchdog.know(child.pid)
            except OSError:
                await child.stop(watchdog)
                raise CannotStart("the process that guards its end could not be started") from None
        child.input.write(b"\n")
        return child

    @property
    def pid(self) -> int:
        """Also the id of its process group and session."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        return self._process.returncode

    async def stop(self, watchdog: Watchdog, grace: float = _GRACE) -> None:
        """End it and everything in its process group: stdin closed, then SIGTERM, then SIGKILL. Bounded in time.

        On Linux also what it has started outside the group and is still below it now. `grace`: seconds in which it may
        end by itself once its stdin is closed.
        """
        # Once it has exited its id may be somebody else's.
        strays = Strays(None if self.exited.done() else self.pid)
        try:
            self.input.close()
            await asyncio.wait([self.exited], timeout=grace)
            self._signal(signal.SIGTERM)
            if not self.exited.done():
                await asyncio.wait([self.exited], timeout=_TERM_GRACE)
            # Also when the leader has gone: what it started may still be there, under the same group.
            self._signal(signal.SIGKILL)
            await asyncio.wait([self.exited], timeout=_KILL_GRACE)
        finally:
            strays.end()
        watchdog.forget(self.pid)
        self._close()

    async def finished(self, within: float) -> None:
        """Return when it has ended and all that it said was heard, or after so many seconds."""
        with anyio.move_on_after(within):
            await asyncio.wait([self.exited])
            await self.complaints.ended.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _begin(self, what: Program) -> None:
        try:
            with ExitStack() as theirs:
                self._process = _begun(what, await connect(theirs, self.input, self.output, self.complaints))
        except OSError as error:
            self._close()
            raise CannotStart(f"it could not be started ({error.strerror or error})") from None
        # A thread that sleeps, for as long as the child lives: no system call that every system has can be waited for
        # by the loop.
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._reap, args=(loop,), name=f"child {self.pid}", daemon=True).start()

    def _close(self) -> None:
        self.input.abort()
        self.output.close()
        self.complaints.close()

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        self._process.wait()
        # The loop may be gone by then.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._exit)

    def _exit(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)
        self.input.lose()
        # What it left behind may hold its stdout open for ever; what it wrote itself is read within an instant.
        asyncio.get_running_loop().call_later(0.2, self.output.end)


def _begun(what: Program, streams: Sequence[int]) -> subprocess.Popen[bytes]:
    # An event loop does no better: it forks just so, and waits until the shell is there or not.
    return subprocess.Popen(
        ("/bin/sh", "-c", _LAUNCH, "sh", *what.argv),
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        env=dict(what.env),
        cwd=what.cwd,
        start_new_session=True,
    )
