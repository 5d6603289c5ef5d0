"""How streams that would never end hear that the process wants to."""

from __future__ import annotations

from collections.abc import Callable


class Closing:
    """Begins once. Owned by whoever serves."""

    __slots__ = ("_watchers", "begun")

    def __init__(self) -> None:
        self.begun = False
        self._watchers: set[Callable[[], None]] = set()

    def begin(self) -> None:
        """Have every long-lived stream end gracefully; calls go on."""
        self.begun = True
        for watcher in tuple(self._watchers):
            watcher()

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Have `watcher` called when it begins; the returned function ends that."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)
