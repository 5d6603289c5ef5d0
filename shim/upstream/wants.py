"""Who wants to be told of which resources of one upstream. Outlives its connections, and its configuration."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias

from shim.model import Caller, Subscriber


@dataclass(frozen=True, slots=True, eq=False)
class Want:
    """One client's, for one URI."""

    caller: Caller
    uri: str
    subscriber: Subscriber


OwnerOf: TypeAlias = Callable[[Want], Hashable]
"""Whose session hears what a want is about: those of one owner share one."""


class Wants:
    """Owns the wants of one upstream."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._wants: dict[Want, None] = {}
        self._watchers: set[Callable[[], None]] = set()

    def __len__(self) -> int:
        return len(self._wants)

    def add(self, want: Want) -> None:
        """From now on it is told."""
        self._wants[want] = None
        self._changed()

    def remove(self, want: Want) -> None:
        """It is told no longer, if it was."""
        if self._wants.pop(want, want) is None:
            self._changed()

    def owners(self, owner_of: OwnerOf) -> dict[Hashable, Want]:
        """Everybody for whom something is heard, each with one of the wants."""
        return {owner_of(want): want for want in self._wants}

    def uris(self, owner: Hashable, owner_of: OwnerOf) -> set[str]:
        """What is wanted of one owner's session."""
        return {want.uri for want in self._wants if owner_of(want) == owner}

    def tell(self, uri: str, owner: Hashable, owner_of: OwnerOf) -> None:
        """An owner's session heard that a resource has changed: that one, or one of those that are wanted above it.

        A notice may name a resource below the one that was subscribed to (MCP, "Subscriptions" of resources).
        """
        for want in tuple(self._wants):
            if owner_of(want) == owner and _is_within(uri, want.uri):
                want.subscriber.updated(uri, f"resource:{self._upstream}/{uri}")

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Have `watcher` called when others are wanted; the returned function ends that."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def _changed(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()


def _is_within(uri: str, wanted: str) -> bool:
    return uri == wanted or uri.startswith(wanted if wanted.endswith("/") else f"{wanted}/")
