"""What a session's client has still to be told, and what it was told last, for a stream that is taken up again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from shim.model import JsonObject

KEPT = 2048
"""How many notices there are at most: that many different things that a session can be told of."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification. `number` counts those of an outbox: each comes after all with a lower one."""

    number: int
    method: str
    params: JsonObject | None
    may: Callable[[], bool] | None = None
    """Tells whether it may still be said; None: always."""

    @property
    def holds(self) -> bool:
        """Whether it may be said now."""
        return self.may is None or self.may()


class Outbox:
    """Notices, each of which says all that those of its kind before it said: so the newest of a kind is kept alone.

    What a client that does not read makes it hold is bounded by the kinds there are, not by how often they come; and
    so is what a stream that is taken up again gets once more. When there are more kinds than are kept, the oldest goes.
    """

    __slots__ = ("_kept", "_notices", "_watchers", "last", "told")

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._notices: dict[Hashable, Notice] = {}
        self._watchers: set[Callable[[], None]] = set()
        self.last = 0
        """The number of the newest notice there was."""
        self.told = 0
        """The number of the last that was written to any stream."""

    def __len__(self) -> int:
        return len(self._notices)

    def put(
        self,
        kind: Hashable,
        method: str,
        params: JsonObject | None = None,
        may: Callable[[], bool] | None = None,
    ) -> None:
        """Add a notice in the place of the one of its kind, and tell who watches."""
        self.last += 1
        self._notices.pop(kind, None)
        self._notices[kind] = Notice(self.last, method, params, may)
        if len(self._notices) > self._kept:
            del self._notices[next(iter(self._notices))]
        for watcher in tuple(self._watchers):
            watcher()

    def forget(self, kind: Hashable) -> None:
        """Take out the notice of a kind that is no longer wanted."""
        self._notices.pop(kind, None)

    def after(self, number: int) -> list[Notice]:
        """Those that came after the notice of that number, in order."""
        if number >= self.last:
            return []
        return [notice for notice in self._notices.values() if notice.number > number]

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Have `watcher` called when there is one more; the returned function ends that."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)
