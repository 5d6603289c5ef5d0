"""Which values are to be hidden now: those of every lease that is alive while somebody listens to an upstream."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from shim.secrets.scrubbing import Patterns

_MERGED = 16


class Alive:
    """Keeps the patterns of leases until all that went on while they lived is over, and no longer."""

    def __init__(self) -> None:
        self._turns = itertools.count()
        self._going_on: set[int] = set()
        self._living: dict[str, Patterns] = {}
        self._ended: list[tuple[int, Patterns]] = []
        self._now: tuple[Patterns, ...] = ()
        self._merged: dict[tuple[Patterns, ...], Patterns] = {}

    def begin(self) -> int:
        """Something begins to listen; what to give to `since` and to `end`."""
        mark = next(self._turns)
        self._going_on.add(mark)
        return mark

    def end(self, mark: int) -> None:
        """It is over."""
        self._going_on.discard(mark)
        if self._ended:
            first = min(self._going_on, default=mark + 1)
            self._ended = [one for one in self._ended if one[0] > first]

    def add(self, lease: str, patterns: Patterns) -> None:
        """A lease that is alive from now on."""
        self._living[lease] = patterns
        self._now = tuple(dict.fromkeys(self._living.values()))

    def remove(self, lease: str) -> None:
        """It ended; who was listening meanwhile goes on looking for it."""
        patterns = self._living.pop(lease, None)
        self._now = tuple(dict.fromkeys(self._living.values()))
        if patterns is not None and self._going_on:
            self._ended.append((next(self._turns), patterns))

    def since(self, mark: int | None) -> Sequence[Patterns]:
        """The patterns of every lease that was alive at some time since `begin` gave this mark; None: that is now."""
        ended = [patterns for end, patterns in self._ended if end > mark] if mark is not None else []
        several = tuple(dict.fromkeys((*self._now, *ended))) if ended else self._now
        return several if len(several) < 2 else (self._at_once(several),)

    def _at_once(self, several: tuple[Patterns, ...]) -> Patterns:
        # Compiling is what costs, and the same leases are looked for again and again.
        merged = self._merged.pop(several, None) or Patterns.of(several)
        self._merged[several] = merged
        if len(self._merged) > _MERGED:
            del self._merged[next(iter(self._merged))]
        return merged
