"""Which values are to be hidden now: those of every lease that is alive while somebody listens to an upstream."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from shim.secrets.patterns import ROOM, Group, Patterns


class Alive:
    """Keeps the patterns of leases until all that went on while they lived is over, and no longer.

    In groups, of which one is another when a lease comes or goes, and the others are as they were: what a group is
    searched with costs more to make than to use.
    """

    def __init__(self) -> None:
        self._turns = itertools.count()
        self._going_on: set[int] = set()
        self._living: dict[str, Patterns] = {}
        self._leases: Counter[Patterns] = Counter()
        self._now: tuple[Group, ...] = ()
        self._ended: list[tuple[int, Group]] = []

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
        if not patterns:
            return
        self._living[lease] = patterns
        self._leases[patterns] += 1
        if self._leases[patterns] == 1:
            self._now = _with(self._now, patterns)

    def remove(self, lease: str) -> None:
        """It ended; who was listening meanwhile goes on looking for it."""
        patterns = self._living.pop(lease, None)
        if patterns is None:
            return
        self._leases[patterns] -= 1
        if not self._leases[patterns]:
            del self._leases[patterns]
            left = (group.without(patterns) if patterns in group.members else group for group in self._now)
            self._now = tuple(group for group in left if group.members)
        if self._going_on:
            self._keep(patterns)

    def since(self, mark: int | None) -> Sequence[Group]:
        """Those of every lease that was alive at some time since `begin` gave this mark; None: that is now."""
        if mark is None or not self._ended:
            return self._now
        return (*self._now, *(group for end, group in self._ended if end > mark))

    def _keep(self, patterns: Patterns) -> None:
        turn = next(self._turns)
        if self._ended and patterns in self._ended[-1][1].members:
            self._ended[-1] = (turn, self._ended[-1][1])
        elif self._ended and _has_room(self._ended[-1][1], patterns):
            self._ended[-1] = (turn, self._ended[-1][1].with_(patterns))
        else:
            self._ended.append((turn, Group((patterns,))))


def _with(groups: tuple[Group, ...], patterns: Patterns) -> tuple[Group, ...]:
    for index, group in enumerate(groups):
        if _has_room(group, patterns):
            return (*groups[:index], group.with_(patterns), *groups[index + 1 :])
    return (*groups, Group((patterns,)))


def _has_room(group: Group, patterns: Patterns) -> bool:
    return group.size + len(patterns.windows) <= ROOM
