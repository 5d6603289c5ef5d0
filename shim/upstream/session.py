"""What a session with an upstream is, whatever carries it; and what is known of the peer after its opening."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from shim.model import Era, JsonObject, Reply
from shim.upstream.exchange import Ask
from shim.upstream.handing import Handed
from shim.upstream.inbox import Inbox, Watcher

CATALOG_LIMIT = 10 * 2**20
"""Bytes of a page of a catalog that are always read, however little a call's result may be."""

Spawn: TypeAlias = Callable[..., None]
"""`spawn(function, *arguments)` runs a coroutine function as a child of the one task group that owns all sessions."""


@dataclass(frozen=True, slots=True)
class Me:
    """How the shim names itself to upstreams."""

    name: str
    version: str

    @property
    def info(self) -> JsonObject:
        return {"name": self.name, "version": self.version}


@dataclass(frozen=True, slots=True)
class Peer:
    """What an upstream said of itself when the session was opened."""

    era: Era
    protocol: str
    server: JsonObject
    capabilities: JsonObject
    instructions: str | None

    def can(self, *path: str) -> bool:
        """Whether a capability is declared: `can("tools", "listChanged")`. An empty object declares it too."""
        value: Any = self.capabilities
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return isinstance(value, dict) or value is True


class Session(Protocol):
    """An open conversation that carries requests. It ends on its own when the other side does."""

    peer: Peer | None
    ended: asyncio.Event
    inbox: Inbox

    @property
    def alive(self) -> bool: ...

    @property
    def why(self) -> str:
        """Why it ended, to complete "The upstream X is not available: ..."."""

    async def request(self, ask: Ask) -> Reply: ...

    async def notify(self, method: str) -> None: ...

    async def opened(self) -> None: ...

    async def close(self) -> None: ...


class Kind(Protocol):
    """How sessions with one upstream are started: one class for each kind of upstream."""

    over_http: bool

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        """A session to which nothing has been said yet, and that has these secrets. Raises UpstreamUnavailable."""

    async def close(self) -> None:
        """Give up what all sessions share, once they are over."""
