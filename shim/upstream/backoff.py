"""Pauses between attempts at something that keeps failing."""

from __future__ import annotations

from collections.abc import Callable

LEAST = 0.5
"""Seconds of the shortest pause, jitter apart."""

_MOST = 60.0
_STEADY = 30.0


class Backoff:
    """Each pause is about twice the last, up to a minute; they begin anew after an attempt that lasted.

    `random` gives 0..1, so that many who lost the same upstream do not come back at once.
    """

    __slots__ = ("_failures", "_random")

    def __init__(self, random: Callable[[], float]) -> None:
        self._failures = 0
        self._random = random

    def after(self, lasted: float) -> float:
        """The seconds to pause, after an attempt that lasted this many."""
        self._failures = 1 if lasted > _STEADY else self._failures + 1
        return float(min(_MOST, LEAST * 2 ** min(self._failures - 1, 20)) * (0.5 + self._random()))
