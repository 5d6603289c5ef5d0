"""One upstream, kept alive: its catalog read and read again, its state known, its calls sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

import anyio
from mcp_types import HEADER_MISMATCH, METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION

from shim.errors import Refusal, UpstreamUnavailable
from shim.model import Call, Era, JsonObject, Listener, Offer, Reply, Tool, UpstreamState, UpstreamStatus
from shim.upstream import modern
from shim.upstream.asking import ask_for
from shim.upstream.config import UpstreamBlock
from shim.upstream.exchange import Ask
from shim.upstream.failures import Busy, unavailable
from shim.upstream.inbox import Watcher
from shim.upstream.legacy import Verbosity
from shim.upstream.pool import Pool
from shim.upstream.probe import Opening
from shim.upstream.reading import read_tools
from shim.upstream.session import CATALOG_LIMIT, Me, Peer, Session, Spawn

FIRST = 10.0
"""Seconds that a list or call waits for an upstream's first connection attempt."""

_OPENING = 60.0
_READING = 60.0
_PATIENCE = 10.0
_BACKOFF, _BACKOFF_MAX = 0.5, 60.0
_STEADY = 30.0
_DEBOUNCE, _BETWEEN_READINGS = 0.2, 1.0
_LEAST_TTL, _UNSAID_TTL = 30.0, 300.0
_LISTENING = 86_400.0

# Errors that say that what is known of the upstream is not true any more.
_OUT_OF_DATE = frozenset({HEADER_MISMATCH, UNSUPPORTED_PROTOCOL_VERSION, METHOD_NOT_FOUND})

_FORCED: dict[str, Era | None] = {"auto": None, "2025-11-25": "legacy", "2026-07-28": "modern"}


class Kind(Protocol):
    """How sessions with one upstream are started: one class for each kind of upstream."""

    over_http: bool

    async def start(self, watcher: Watcher) -> Session:
        """A session to which nothing has been said yet. Raises UpstreamUnavailable."""

    async def close(self) -> None:
        """Give up what all sessions share, once they are over."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every link is handed. `random` gives 0..1 for jitter; `event` takes what an upstream asked, and returns."""

    me: Me
    spawn: Spawn
    random: Callable[[], float]
    offer: Callable[[Offer], Awaitable[None]]
    event: Callable[[str, JsonObject, str | None], None]


class Link:
    """Owns the state of one upstream. `run` is its life; everything else may be called at any time."""

    def __init__(self, name: str, block: UpstreamBlock, kind: Kind, around: Surroundings) -> None:
        self.name = name
        self.first = asyncio.Event()
        self._block = block
        self._kind = kind
        self._around = around
        self._log = logging.getLogger(f"shim.upstream.{name}")
        self._limit = max(block.max_result, CATALOG_LIMIT)
        self._opening = Opening(name, around.me, _OPENING, self._limit)
        self._forced = _FORCED[block.era]
        self._era: Era | None = self._forced
        self._state: UpstreamState = "connecting"
        self._error: str | None = None
        self._told = True
        self._nudged = asyncio.Event()
        self._knocked = asyncio.Event()
        self._attempted = asyncio.Event()
        self._headers = modern.ParamHeaders()
        self._verbosity: WeakKeyDictionary[Session, Verbosity] = WeakKeyDictionary()
        self._pool = Pool(
            name,
            self._make,
            around.spawn,
            limit=block.pool.max,
            idle=block.pool.idle,
            patience=min(_PATIENCE, block.timeout),
        )

    async def tend(self) -> None:
        """End the sessions of calls when they are idle, for ever."""
        await self._pool.tend()

    def broke(self) -> None:
        """`run` failed in a way that nobody foresaw; it will be called again."""
        self._settle("down", f"The upstream {self.name} is not available: the shim failed to keep it; see its log.")

    async def close(self) -> None:
        """After `run` and all sessions have ended."""
        await self._kind.close()

    def status(self) -> UpstreamStatus:
        return UpstreamStatus(self._state, self._era, self._error)

    def tools_changed(self) -> None:
        self._nudged.set()

    def refused(self, method: str, invocation: str | None) -> None:
        self._around.event("upstream.refused", {"upstream": self.name, "method": method}, invocation)

    async def call(self, call: Call, tool: Tool, params: JsonObject, listener: Listener) -> Reply:
        """See `Upstreams.call`."""
        await self._ready()
        try:
            async with self._pool.session(self._key(call)) as session:
                if session.peer is None:
                    raise unavailable(self.name, "its session is not open")
                mirror = self._kind.over_http and session.peer.era == "modern"
                headers = self._headers.of(tool, params.get("arguments")) if mirror else {}
                ask = ask_for(call, tool, params, listener, session.peer, self._around.me, self._block, headers)
                if session.peer.era == "legacy":
                    await self._verbosity.setdefault(session, Verbosity(session)).reach(ask.level)
                reply = await session.request(ask)
        except Busy:
            raise
        except UpstreamUnavailable:
            self._nudged.set()
            raise
        if reply.error is not None and reply.error.get("code") in _OUT_OF_DATE:
            self._nudged.set()
        return reply

    def _key(self, call: Call) -> str:
        stateless = self._kind.over_http and self._era == "modern"
        return "" if stateless or self._block.isolation == "shared" else call.caller.identity.name

    async def _ready(self) -> None:
        """Wait for a first attempt, or make one more before giving up on an upstream that is down."""
        if self._state == "up":
            return
        self._attempted.clear()
        self._knocked.set()
        try:
            async with asyncio.timeout(FIRST):
                await self._attempted.wait()
        except TimeoutError:
            pass
        if self.status().state != "up":
            raise UpstreamUnavailable(self._error or str(unavailable(self.name, "it does not answer yet")))

    async def _make(self) -> Session:
        """A session of the pool, opened."""
        session = await self._kind.start(self)
        try:
            await self._opening.open(session, self._era)
        except BaseException:
            self._around.spawn(session.close)
            raise
        return session

    async def run(self) -> None:
        """Connect, read, stay; and again after each loss, with growing pauses."""
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._attend()
            except Refusal as refusal:
                self._log.log(logging.DEBUG if str(refusal) == self._error else logging.WARNING, "%s", refusal)
                self._settle("down", str(refusal))
                self._era = self._forced
            else:
                # At rest: it is up as far as anyone knows, and is asked again when there is a reason to.
                await self._wait(None)
                continue
            steady = asyncio.get_running_loop().time() - began > _STEADY
            failures = 1 if steady else failures + 1
            await self._pause(failures)

    async def _pause(self, failures: int) -> None:
        wait = min(_BACKOFF_MAX, _BACKOFF * 2 ** min(failures - 1, 20)) * (0.5 + self._around.random())
        # A call that wants the upstream now shortens the pause, but never to less than the shortest one.
        self._knocked.clear()
        await asyncio.sleep(min(wait, _BACKOFF))
        try:
            async with asyncio.timeout(wait - min(wait, _BACKOFF)):
                await self._knocked.wait()
        except TimeoutError:
            pass
        if self._state == "down":
            self._state = "connecting"

    def _settle(self, state: UpstreamState, error: str | None) -> None:
        self._state, self._error = state, error
        self.first.set()
        self._attempted.set()

    async def _attend(self) -> None:
        """One session of the shim's own, from opening to loss: raises the Refusal that ended it.

        Returns when a process that would only sit there, having no way to say that its tools changed, was let go.
        """
        session = await self._kind.start(self)
        try:
            peer = await self._opening.open(session, self._era)
            self._era = peer.era
            ttl = await self._read(session, peer)
            self._settle("up", None)
            await self._stay(session, peer, ttl)
        finally:
            self._around.spawn(session.close)

    async def _read(self, session: Session, peer: Peer) -> float | None:
        self._nudged.clear()
        reading = await read_tools(
            self.name,
            session,
            peer,
            self._around.me,
            timeout=_READING,
            limit=self._limit,
            headers=self._kind.over_http and peer.era == "modern",
        )
        offer = Offer(
            self.name,
            peer.era,
            peer.protocol,
            peer.server,
            peer.capabilities,
            peer.instructions,
            reading.tools,
            reading.ttl,
        )
        await self._around.offer(offer)
        return reading.ttl

    async def _stay(self, session: Session, peer: Peer, ttl: float | None) -> None:
        lost: Refusal | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._notice_end, session)
            if peer.era == "modern" and peer.can("tools", "listChanged"):
                group.start_soon(self._listen, session, peer)
            try:
                while session.alive:
                    nudged = await self._wait(self._freshness(peer, ttl))
                    if not nudged and self._may_rest(peer):
                        group.cancel_scope.cancel()
                        return
                    if session.alive:
                        ttl = await self._read(session, peer)
                        await asyncio.sleep(_BETWEEN_READINGS)
            except Refusal as refusal:
                lost = refusal
            group.cancel_scope.cancel()
        raise lost or unavailable(self.name, session.why)

    async def _notice_end(self, session: Session) -> None:
        await session.ended.wait()
        self._nudged.set()

    async def _wait(self, seconds: float | None) -> bool:
        """Until something changed (then true, once notices have calmed down), or so many seconds are over."""
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(_DEBOUNCE)
        return True

    def _may_rest(self, peer: Peer) -> bool:
        return not self._kind.over_http and not peer.can("tools", "listChanged")

    def _freshness(self, peer: Peer, ttl: float | None) -> float | None:
        """Seconds until the catalog is read again without a notice; a polite multiple of what upstreams say."""
        jitter = 1 + self._around.random() / 4
        if self._may_rest(peer):
            return self._block.pool.idle
        if ttl:
            return max(_LEAST_TTL, ttl) * jitter
        if peer.can("tools", "listChanged") and self._told:
            return None
        return _UNSAID_TTL * jitter

    async def _listen(self, session: Session, peer: Peer) -> None:
        """Hear of changes from a modern upstream; over a new stream whenever the old one ends."""
        params = modern.envelope({"notifications": {"toolsListChanged": True}}, self._around.me, peer.protocol)
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                reply = await session.request(Ask("subscriptions/listen", params, _LISTENING, self._limit))
            except Refusal:
                reply = None
            if reply is not None and reply.error is not None:
                self._told = False
                self._nudged.set()
                return
            failures = 1 if asyncio.get_running_loop().time() - began > _STEADY else failures + 1
            wait = min(_BACKOFF_MAX, _BACKOFF * 2 ** min(failures - 1, 20)) * (0.5 + self._around.random())
            await asyncio.sleep(wait)
            # What changed while nobody listened, or that the upstream is gone, shows in another reading.
            self._nudged.set()
