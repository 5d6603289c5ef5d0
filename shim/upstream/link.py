"""One upstream, kept alive: its catalog read and read again, its state known, its calls sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import anyio
from mcp_types import HEADER_MISMATCH, METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION

from shim.errors import Refusal, SecretUnavailable, UpstreamUnavailable
from shim.model import (
    Call,
    Era,
    JsonObject,
    Leased,
    Listener,
    Need,
    Offer,
    Reply,
    Secrets,
    Tool,
    UpstreamState,
    UpstreamStatus,
)
from shim.upstream import modern
from shim.upstream.asking import ask_for
from shim.upstream.config import UpstreamBlock
from shim.upstream.exchange import Ask
from shim.upstream.failures import Busy, unavailable
from shim.upstream.handing import NOTHING, Handed, Handing
from shim.upstream.legacy import Verbosity
from shim.upstream.pool import Pool
from shim.upstream.probe import Opening
from shim.upstream.reading import read_tools
from shim.upstream.session import CATALOG_LIMIT, Kind, Me, Peer, Session, Spawn

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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every link is handed.

    `secrets` are for reading catalogs; `random` gives 0..1 for jitter; `event` takes what an upstream asked, and
    returns.
    """

    me: Me
    spawn: Spawn
    secrets: Secrets
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
        self._in_calls = Handing(block)
        self._in_readings = Handing(block, block.catalog)
        self._around = around
        self._log = logging.getLogger(f"shim.upstream.{name}")
        self._limit = max(block.max_result, CATALOG_LIMIT)
        self._opening = Opening(name, around.me, _OPENING, self._limit)
        self._forced = _FORCED[block.era]
        self._era: Era | None = self._forced
        self._peer: Peer | None = None
        self._state: UpstreamState = "connecting"
        self._error: str | None = None
        self._excuse: str | None = None
        self._told = True
        self._retired = False
        self._nudged = asyncio.Event()
        self._knocked = asyncio.Event()
        self._attempted = asyncio.Event()
        self._headers = modern.ParamHeaders()
        self._verbosity: WeakKeyDictionary[Session, Verbosity] = WeakKeyDictionary()
        self._pool = Pool(
            name,
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
        error = str(unavailable(self.name, "the shim failed to keep it; see its log"))
        self._settle("down", error, error)

    async def retire(self) -> None:
        """After `run` was ended, because this upstream is configured no more: return when its last call is over.

        Calls go on, and those of requests that began before may still begin: each session ends with its last call.
        """
        self._retired = True
        self.first.set()
        self._attempted.set()
        await self._pool.end()
        await self._kind.close()

    async def close(self) -> None:
        """After `run` and all sessions have ended."""
        await self._kind.close()

    def status(self) -> UpstreamStatus:
        return UpstreamStatus(self._state, self._era, self._error)

    def tools_changed(self) -> None:
        self._nudged.set()

    def secrets_changed(self) -> None:
        """Secrets are defined anew: a session for reading the catalog ends if its own are others now."""
        if self._in_readings.needs:
            self._nudged.set()

    def refused(self, method: str, invocation: str | None) -> None:
        self._around.event("upstream.refused", {"upstream": self.name, "method": method}, invocation)

    @property
    def needs(self) -> tuple[Need, ...]:
        """What each call of it needs of secrets."""
        return self._in_calls.needs

    async def call(self, call: Call, tool: Tool, params: JsonObject, listener: Listener, leased: Leased) -> Reply:
        """See `Upstreams.call`."""
        handed = self._in_calls.hand(leased)
        await self._ready()
        try:
            async with self._session(call, handed) as session:
                if session.peer is None:
                    raise unavailable(self.name, "its session is not open")
                mirror = self._kind.over_http and session.peer.era == "modern"
                headers = {**self._headers.of(tool, params.get("arguments")), **handed.headers} if mirror else {}
                ask = ask_for(call, tool, params, listener, session.peer, self._around.me, self._block, headers)
                if session.peer.era == "legacy":
                    await self._verbosity.setdefault(session, Verbosity(session)).reach(ask.level)
                reply = await session.request(ask)
        except Busy:
            raise
        except UpstreamUnavailable:
            self._nudged.set()
            raise
        finally:
            if self._retired:
                # This call may have opened what had been ended already.
                self._around.spawn(self.retire)
        if reply.error is not None and reply.error.get("code") in _OUT_OF_DATE:
            self._nudged.set()
        return reply

    def _session(self, call: Call, handed: Handed) -> AbstractAsyncContextManager[Session]:
        if self._kind.over_http and self._era == "modern":
            # Nothing is kept between two requests, and each carries its own credentials.
            return self._pool.session(("", b""), self._stateless)
        owner = "" if self._block.isolation == "shared" else call.caller.identity.name
        return self._pool.session((owner, handed.fingerprint), partial(self._make, handed))

    async def _ready(self) -> None:
        """Wait for a first attempt, or make one more before giving up on an upstream that is down."""
        if self._state == "up" or self._retired:
            return
        self._attempted.clear()
        self._knocked.set()
        try:
            async with asyncio.timeout(FIRST):
                await self._attempted.wait()
        except TimeoutError:
            pass
        if self.status().state != "up" and not self._retired:
            raise UpstreamUnavailable(self._excuse or str(unavailable(self.name, "it does not answer yet")))

    async def _stateless(self) -> Session:
        """A session of the pool that needs no opening, and has no credentials of its own."""
        if self._peer is None:
            raise unavailable(self.name, "it has not been read yet")
        session = await self._kind.start(self, NOTHING)
        session.peer, session.inbox.era = self._peer, self._peer.era
        return session

    async def _make(self, handed: Handed) -> Session:
        """A session of the pool, opened with these secrets and for no others."""
        session = await self._kind.start(self, handed)
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
                error = self._explained(refusal)
                self._log.log(logging.DEBUG if error == self._error else logging.WARNING, "%s", error)
                self._settle("down", str(refusal), error)
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

    def _explained(self, refusal: Refusal) -> str:
        """For whoever runs the shim: also what could be the reason."""
        missing = ", ".join(self._in_readings.left_out)
        if not missing or isinstance(refusal, SecretUnavailable):
            return refusal.detail
        return (
            f"{refusal.detail} Its tools are read without {missing}: if it needs that, name a secret under `catalog`."
        )

    def _settle(self, state: UpstreamState, excuse: str | None = None, error: str | None = None) -> None:
        """`excuse` is what callers are told, `error` what whoever runs the shim is told."""
        self._state, self._excuse, self._error = state, excuse, error
        self.first.set()
        self._attempted.set()

    async def _attend(self) -> None:
        """One session of the shim's own, from opening to loss: raises the Refusal that ended it.

        Returns when a process that would only sit there, having no way to say that its tools changed, was let go; and
        when its secrets are others by now, having seen to it that it is begun again.
        """
        async with self._around.secrets.leased(self._in_readings.needs) as leases:
            handed = self._in_readings.hand(await leases.take())
            session = await self._kind.start(self, handed)
            try:
                peer = await self._opening.open(session, self._era)
                self._era, self._peer = peer.era, peer
                ttl = await self._read(session, peer)
                self._settle("up")
                await self._stay(session, peer, ttl, handed)
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

    async def _is_current(self, handed: Handed) -> bool:
        """Whether the secrets for reading the catalog are still these."""
        async with self._around.secrets.leased(self._in_readings.needs) as leases:
            return (await leases.take()).fingerprint == handed.fingerprint

    async def _stay(self, session: Session, peer: Peer, ttl: float | None, handed: Handed) -> None:
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
                    if not await self._is_current(handed):
                        self._nudged.set()
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
