"""How much of the process one upstream may use up by what it sends.

All upstreams are read on one event loop. A reader works for a few milliseconds, then lets everybody else have a turn;
an upstream that keeps its readers busy gets into debt, and is read again when the debt is paid. What counts is time of
the processor, so that empty lines, comments, tiny chunks and costly texts are all the same, and a fast machine and a
busy one too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

from shim.errors import InvalidText
from shim.jsontext import parse
from shim.model import Json

TURN = 0.002
"""Seconds of work after which a reader lets the others run."""

PIECE = 2048
"""Bytes that are cut into lines or parsed as HTTP at once: at one line or chunk a byte, about a turn."""

_LARGE = 64 * 1024
_BURST, _SHARE = 0.25, 0.2

worked = time.thread_time
"""Seconds of the processor that this thread has used."""


def pieces(data: bytes) -> Iterator[bytes]:
    """The same bytes, a little at a time."""
    if len(data) <= PIECE:
        yield data
        return
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


class Pace:
    """The account of one upstream, shared by all that read from it: a fifth of the processor, and a burst."""

    __slots__ = ("_last", "_left", "_time")

    def __init__(self, time: Callable[[], float]) -> None:
        self._left, self._last, self._time = _BURST, time(), time

    def charge(self, seconds: float) -> float:
        """Book work that was done. Returns the seconds to wait before there is more of it; 0 without a debt."""
        now = self._time()
        self._left = min(_BURST, self._left + (now - self._last) * _SHARE) - seconds
        self._last = now
        return max(0.0, -self._left / _SHARE)


class Turn:
    """The work of one reader. `begin` after each wait for the upstream, `step` within the work, `end` after it."""

    __slots__ = ("_began", "_pace")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._began = worked()

    def begin(self) -> None:
        self._began = worked()

    def book(self) -> None:
        """Account for what was done so far; before a wait for anybody else than the upstream."""
        self._pace.charge(worked() - self._began)

    async def step(self) -> None:
        """Let the others run when this has lasted long enough."""
        done = worked() - self._began
        if done >= TURN:
            # A real pause also within the burst: threads that wait for the interpreter get it, too.
            await asyncio.sleep(max(TURN, self._pace.charge(done)))
            self._began = worked()

    async def end(self) -> None:
        """All that had come is dealt with. Returns when more may be read."""
        debt = self._pace.charge(worked() - self._began)
        if debt:
            await asyncio.sleep(debt)
        self._began = worked()

    async def parsed(self, text: bytes) -> Json:
        """As `parse`; a large text is parsed beside the loop, and on the upstream's account all the same."""
        if len(text) < _LARGE:
            return parse(text)
        await self.end()
        value, cost = await asyncio.to_thread(_parse, text)
        self._pace.charge(cost)
        self._began = worked()
        if isinstance(value, InvalidText):
            raise value
        return value


def _parse(text: bytes) -> tuple[Json | InvalidText, float]:
    began = worked()
    try:
        value: Json | InvalidText = parse(text)
    except InvalidText as error:
        value = error
    return value, worked() - began
