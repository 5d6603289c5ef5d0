"""What a session with an upstream is, whatever carries it; and what is known of the peer after its opening."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from shim.model import Era, Json, JsonObject, Offered, Reply, Tool
from shim.upstream.backoff import Backoff
from shim.upstream.exchange import Ask
from shim.upstream.handing import Handed
from shim.upstream.inbox import LISTS, Inbox, Watcher

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

    @classmethod
    def said(cls, era: Era, protocol: str, server: Json, result: JsonObject) -> Peer:
        """From an opening's result, in which anything may be of any shape."""
        capabilities, instructions = result.get("capabilities"), result.get("instructions")
        return cls(
            era,
            protocol,
            server if isinstance(server, dict) else {},
            capabilities if isinstance(capabilities, dict) else {},
            instructions if isinstance(instructions, str) else None,
        )

    def can(self, *path: str) -> bool:
        """Whether a capability is declared: `can("tools", "listChanged")`. An empty object declares it too."""
        value: Any = self.capabilities
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return isinstance(value, dict) or value is True

    @property
    def tells(self) -> tuple[str, ...]:
        """Of which of its lists it says when they change: `tools`, `prompts`, `resources`."""
        return tuple(kind for kind in LISTS if self.can(kind, "listChanged"))

    @property
    def tells_all(self) -> bool:
        """Whether it says so of every list that it has."""
        return bool(self.tells) and self.tells == tuple(kind for kind in LISTS if self.can(kind))


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

    @property
    def said(self) -> str | None:
        """What its other side said of that beside the protocol: for whoever runs the shim, and for nobody else."""

    async def request(self, ask: Ask) -> Reply: ...

    async def notify(self, method: str) -> None: ...

    async def opened(self) -> None: ...

    async def close(self) -> None: ...


class Dialect(Protocol):
    """How an open session is spoken to: what requests differ in between the eras, one class for each."""

    @property
    def mirrors(self) -> bool:
        """Whether headers repeat arguments, so that a tool whose schema has that wrong cannot be called."""

    def meta(self, level: str | None = None, capabilities: JsonObject | None = None, /) -> JsonObject:
        """The protocol's own members of a request's `_meta`.

        `level` is the least severity of log messages wanted, `capabilities` what the upstream may ask of the client.
        """

    def headers(self, target: Offered, arguments: object, handed: Handed, /) -> Mapping[str, str]:
        """What goes with a call in headers of its own; none where the session has all that is needed."""

    async def prepare(self, ask: Ask, /) -> None:
        """Tell the session what this call needs it to know before."""

    async def follow(self, limit: int, pauses: Backoff, changed: Callable[[], None], /) -> bool:
        """Have changes told. `changed` is called when some may have been missed, or nobody is there any more.

        Returns when there is nothing left to do for that: whether they are told from then on.
        """


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that is ready for calls: with whom, and how it is spoken to."""

    session: Session
    peer: Peer
    dialect: Dialect

    @property
    def alive(self) -> bool:
        return self.session.alive

    async def request(self, ask: Ask) -> Reply:
        """See `Session.request`."""
        return await self.session.request(ask)

    async def close(self) -> None:
        await self.session.close()


class Kind(Protocol):
    """How sessions with one upstream are started: one class for each kind of upstream."""

    over_http: bool
    rests: bool
    """Whether a session that only sits there, having no way to say that lists changed, is let go."""

    @property
    def can_judge(self) -> bool:
        """Whether `misfit` says all that there is to say; if not, it does once a catalog was read."""

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        """A session to which nothing has been said yet, and that has these secrets. Raises UpstreamUnavailable."""

    def misfit(self, tool: Tool, arguments: JsonObject) -> str | None:
        """Why a tool of this upstream cannot be called with these arguments, for whoever sent them, where that is for
        the shim to say. `tool` is as its caller sees it. Starts nothing.
        """

    async def close(self) -> None:
        """Give up what all sessions share, once they are over."""
