"""A child process of the shim, with pipes of ours as its standard streams."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Final, Protocol

import anyio

from shim.upstream import guard
from shim.upstream.complaints import Complaints
from shim.upstream.streams import Input, Output
from shim.upstream.unbroken import unbroken

_log = logging.getLogger("shim.upstream")

_GRACE: Final = 2.0
_ENDING: Final = guard.TERM_GRACE + 1
_LATE: Final = 0.2
"""Seconds in which what a child wrote is read after its end, while something else still has its stdout."""


class Guard(Protocol):
    """What sees to the end of a child."""

    def end(self) -> None:
        """Ask for it."""

    def insist(self) -> None:
        """Ask for it although the guard does not do its part: it is ended itself. It is of no use after that."""

    def close(self) -> None:
        """Nothing more is asked of it; what it runs is ended."""


class Child:
    """A program that runs, or has run."""

    def __init__(self, complaints: Complaints) -> None:
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[OSError | None] = loop.create_future()
        self.exited: asyncio.Future[int] = loop.create_future()
        self.over = asyncio.Event()
        self.input = Input()
        self.output = Output()
        self.complaints = complaints
        self.guard: Guard | None = None

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal, once it has ended."""
        return self.exited.result() if self.exited.done() else None

    async def finished(self, within: float) -> None:
        """Return when it has ended and all that it said was heard, or after so many seconds."""
        with anyio.move_on_after(within):
            await asyncio.wait([self.exited])
            await self.complaints.ended.wait()

    async def stop(self, grace: float = _GRACE) -> None:
        """End it and all that it has started: stdin closed, then SIGTERM, then SIGKILL. Bounded in time.

        `grace`: seconds in which it may end by itself once its stdin is closed.
        """
        await unbroken(self._stop(grace))

    async def _stop(self, grace: float) -> None:
        if self.guard is not None:
            self.input.close()
            await asyncio.wait([self.exited], timeout=grace)
        # By now it may be the guard of another.
        if (its := self.guard) is not None:
            for ask in (its.end, its.insist):
                ask()
                with anyio.move_on_after(_ENDING):
                    await self.over.wait()
                    break
            else:
                _log.warning("a process that a child has started cannot be ended; what guards it goes on trying")
                its.close()
        self.input.abort()
        self.output.close()
        self.complaints.close()

    def begin(self, failed: OSError | None = None) -> None:
        """It runs, or it does not: `failed` says why."""
        if not self.started.done():
            self.started.set_result(failed)

    def end(self, code: int) -> None:
        """It has ended."""
        if not self.exited.done():
            self.exited.set_result(code)
            self.input.lose()
            # What it left behind may hold its stdout open for ever; what it wrote itself is read within an instant.
            asyncio.get_running_loop().call_later(_LATE, self.output.end)

    def lose(self) -> None:
        """Nothing more will be heard of it, and nothing is left of it as far as one knows."""
        self.guard = None
        self.begin()
        self.end(-signal.SIGKILL)
        self.over.set()
