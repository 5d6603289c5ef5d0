"""Who wants to be told of which resources of one upstream. Outlives its connections, and its configuration."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from shim.model import Caller, Subscriber


@dataclass(frozen=True, slots=True, eq=False)
class Want:
    """One client's, for one URI; `bind`: see `Decision`."""

    caller: Caller
    uri: str
    subscriber: Subscriber
    bind: tuple[tuple[str, str], ...] = ()


OwnerOf: TypeAlias = Callable[[Want], Hashable]
"""Whose session hears what a want is about: those of one owner share one."""


_LONGEST = 2048
"""Of longer URIs nothing above them is looked for."""


class Wants:
    """Owns the wants of one upstream."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._by_uri: dict[str, dict[Want, None]] = {}
        self._watchers: set[Callable[[Want], None]] = set()

    def __iter__(self) -> Iterator[Want]:
        return (want for wants in tuple(self._by_uri.values()) for want in tuple(wants))

    def add(self, want: Want) -> None:
        """From now on it is told."""
        self._by_uri.setdefault(want.uri, {})[want] = None
        self._changed(want)

    def remove(self, want: Want) -> None:
        """It is told no longer, if it was."""
        wants = self._by_uri.get(want.uri, {})
        if want in wants:
            del wants[want]
            if not wants:
                del self._by_uri[want.uri]
            self._changed(want)

    def uris(self, owner: Hashable, owner_of: OwnerOf) -> set[str]:
        """What is wanted of one owner's session."""
        return {uri for uri, wants in self._by_uri.items() if any(owner_of(want) == owner for want in wants)}

    def tell(self, uri: str, owner: Hashable, owner_of: OwnerOf) -> None:
        """An owner's session heard that a resource has changed: that one, or one of those that are wanted above it.

        A notice may name a resource below the one that was subscribed to (MCP, "Subscriptions" of resources).
        """
        for wanted in _at_and_above(uri):
            for want in tuple(self._by_uri.get(wanted, ())):
                if owner_of(want) == owner:
                    want.subscriber.updated(uri, f"resource:{self._upstream}/{uri}")

    def watch(self, watcher: Callable[[Want], None]) -> Callable[[], None]:
        """Have `watcher` called with each want that came or went; the returned function ends that."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def _changed(self, want: Want) -> None:
        for watcher in tuple(self._watchers):
            watcher(want)


def _at_and_above(uri: str) -> Iterator[str]:
    yield uri
    if len(uri) <= _LONGEST:
        for at, character in enumerate(uri):
            if character == "/":
                if at + 1 < len(uri):
                    yield uri[: at + 1]
                yield uri[:at]
