"""Attending to one upstream: connected, its catalog read and read again, and found again after each loss."""

from __future__ import annotations

import asyncio
import logging

import anyio

from shim.errors import Refusal, SecretUnavailable
from shim.lending import Scrubber
from shim.model import Offer
from shim.upstream.backoff import LEAST, Backoff
from shim.upstream.condition import Condition
from shim.upstream.config import UpstreamBlock
from shim.upstream.failures import Ended
from shim.upstream.handing import Handed, Handing
from shim.upstream.opening import Opening
from shim.upstream.reading import read_offer
from shim.upstream.session import Opened, Peer
from shim.upstream.surroundings import Surroundings

_READING = 60.0
_DEBOUNCE, _BETWEEN_READINGS = 0.2, 1.0
_LEAST_TTL, _UNSAID_TTL = 30.0, 300.0


class Attendant:
    """Has a session of the shim's own, and settles the upstream's condition. `run` is its life.

    `limit` bounds one page of a catalog.
    """

    def __init__(
        self,
        name: str,
        block: UpstreamBlock,
        opening: Opening,
        condition: Condition,
        around: Surroundings,
        limit: int,
    ) -> None:
        self._name = name
        self._block = block
        self._opening = opening
        self._condition = condition
        self._around = around
        self._limit = limit
        self._handing = Handing(block, block.catalog)
        self._log = logging.getLogger(f"shim.upstream.{name}")
        self._told = True
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """What is known may not be true any more: look, soon."""
        self._nudged.set()

    def secrets_changed(self) -> None:
        """Secrets are defined anew: a session for reading the catalog ends if its own are others now."""
        if self._handing.needs:
            self._nudged.set()

    async def run(self) -> None:
        """Connect, read, stay; and again after each loss, with growing pauses."""
        backoff = Backoff(self._around.random)
        while True:
            began = asyncio.get_running_loop().time()
            rest: float | None = None
            try:
                rest = await self._attend()
            except Refusal as refusal:
                error = self._explained(refusal)
                known = error == self._condition.error
                self._log.log(logging.DEBUG if known else logging.WARNING, "%s", error, extra={"stands": "down"})
                self._condition.down(str(refusal), error)
            else:
                # At rest: it is up as far as anyone knows, and is asked again when there is a reason to.
                await self._wait(rest)
                continue
            pause = backoff.after(asyncio.get_running_loop().time() - began)
            # A call that wants the upstream now shortens the pause, but never to less than the shortest one.
            await self._condition.pause(min(LEAST, pause), pause)

    def _explained(self, refusal: Refusal) -> str:
        """For whoever runs the shim: also what could be the reason."""
        error = refusal.explained if isinstance(refusal, Ended) else refusal.detail
        missing = ", ".join(self._handing.left_out)
        if not missing or isinstance(refusal, SecretUnavailable):
            return error
        return f"{error} Its tools are read without {missing}: if it needs that, name a secret under `catalog`."

    async def _attend(self) -> float | None:
        """One session of the shim's own, from opening to loss: raises the Refusal that ended it.

        Returns when a process that would only sit there, having no way to say that its lists changed, was let go; and
        when its secrets are others by now, having seen to it that it is begun again. With secrets that end it returns
        once the catalog was read, for they are leased for that alone: the seconds after which to read it again.
        """
        async with self._around.secrets.leased(self._handing.needs) as leases:
            leased = await leases.take()
            handed = self._handing.hand(leased)
            opened = await self._opening.open(handed, self._condition.era)
            try:
                self._condition.met(opened.peer)
                ttl = await self._read(opened, leases.scrubber)
                self._condition.up()
                if not leased.long_lived:
                    return max(_LEAST_TTL, ttl or _UNSAID_TTL)
                await self._stay(opened, ttl, handed, leases.scrubber)
            finally:
                self._around.spawn(opened.close)
        return None

    async def _read(self, opened: Opened, scrubber: Scrubber) -> float | None:
        self._nudged.clear()
        peer = opened.peer
        reading = await read_offer(self._name, opened, timeout=_READING, limit=self._limit)
        offer = Offer(
            self._name,
            peer.era,
            peer.protocol,
            scrubber.json(peer.server),
            scrubber.json(peer.capabilities),
            scrubber.json(peer.instructions),
            tuple(map(scrubber.json, reading.tools)),
            reading.ttl,
            tuple(map(scrubber.json, reading.prompts)),
            tuple(map(scrubber.json, reading.resources)),
            tuple(map(scrubber.json, reading.templates)),
        )
        await self._around.offer(offer)
        return reading.ttl

    async def _is_current(self, handed: Handed) -> bool:
        """Whether the secrets for reading the catalog are still these."""
        async with self._around.secrets.leased(self._handing.needs) as leases:
            return (await leases.take()).fingerprint == handed.fingerprint

    async def _stay(self, opened: Opened, ttl: float | None, handed: Handed, scrubber: Scrubber) -> None:
        lost: Refusal | None = None
        # The reading that a stream of notices begins with is no reason to wait for what it tells.
        pause = 0.0
        async with anyio.create_task_group() as group:
            group.start_soon(self._notice_end, opened)
            if opened.peer.tells:
                group.start_soon(self._follow, opened)
            try:
                while opened.alive:
                    nudged = await self._wait(self._freshness(opened.peer, ttl))
                    if not nudged and self._may_rest(opened.peer):
                        group.cancel_scope.cancel()
                        return
                    if not await self._is_current(handed):
                        self._nudged.set()
                        group.cancel_scope.cancel()
                        return
                    if opened.alive:
                        ttl = await self._read(opened, scrubber)
                        await asyncio.sleep(pause)
                        pause = _BETWEEN_READINGS
            except Refusal as refusal:
                lost = refusal
            group.cancel_scope.cancel()
        raise lost or Ended(self._name, opened.session.why, opened.session.said)

    async def _notice_end(self, opened: Opened) -> None:
        await opened.session.ended.wait()
        self._nudged.set()

    async def _follow(self, opened: Opened) -> None:
        if not await opened.dialect.follow(self._limit, Backoff(self._around.random), self.nudge):
            self._told = False
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
        return self._opening.rests and not peer.tells

    def _freshness(self, peer: Peer, ttl: float | None) -> float | None:
        """Seconds until the catalog is read again without a notice; a polite multiple of what upstreams say."""
        jitter = 1 + self._around.random() / 4
        if self._may_rest(peer):
            return self._block.pool.idle
        if ttl:
            return max(_LEAST_TTL, ttl) * jitter
        if peer.tells_all and self._told:
            return None
        return _UNSAID_TTL * jitter
