"""The calls of one upstream: each in a session of the pool that its caller may share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from mcp_types import HEADER_MISMATCH, METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION

from shim.errors import UpstreamUnavailable
from shim.model import Call, JsonObject, Leased, Listener, Need, Offered, Reply
from shim.upstream import asking
from shim.upstream.condition import Condition
from shim.upstream.config import UpstreamBlock
from shim.upstream.failures import Busy, unavailable
from shim.upstream.handing import Handed, Handing
from shim.upstream.opening import Opening
from shim.upstream.pool import Pool
from shim.upstream.session import Opened, Peer, Spawn

_PATIENCE = 10.0


# Errors that say that what is known of the upstream is not true any more.
_OUT_OF_DATE = frozenset({HEADER_MISMATCH, UNSUPPORTED_PROTOCOL_VERSION, METHOD_NOT_FOUND})

_COMPLETE = "completion/complete"
_NOTHING_TO_COMPLETE: JsonObject = {"completion": {"values": [], "total": 0, "hasMore": False}}


class Calls:
    """Sends them, once each. `doubt` is called when the upstream seems not to be what it was."""

    def __init__(
        self,
        name: str,
        block: UpstreamBlock,
        opening: Opening,
        condition: Condition,
        spawn: Spawn,
        doubt: Callable[[], None],
    ) -> None:
        self._name = name
        self._block = block
        self._opening = opening
        self._condition = condition
        self._doubt = doubt
        self._handing = Handing(block)
        self._pool = Pool(
            name,
            spawn,
            limit=block.pool.max,
            idle=block.pool.idle,
            patience=min(_PATIENCE, block.timeout),
        )

    @property
    def needs(self) -> tuple[Need, ...]:
        """What each call needs of secrets."""
        return self._handing.needs

    async def send(self, call: Call, target: Offered, params: JsonObject, listener: Listener, leased: Leased) -> Reply:
        """See `Upstreams.call`."""
        handed = self._handing.hand(leased)
        await self._condition.ready()
        try:
            async with self._session(call, handed) as opened:
                if call.method == _COMPLETE and _completes_nothing(opened.peer):
                    return Reply(dict(_NOTHING_TO_COMPLETE), None, 0)
                ask = asking.callers(call, target, params, listener, self._block, opened.dialect, handed)
                await opened.dialect.prepare(ask)
                reply = await opened.session.request(ask)
        except Busy:
            raise
        except UpstreamUnavailable:
            self._doubt()
            raise
        if reply.error is not None and reply.error.get("code") in _OUT_OF_DATE:
            self._doubt()
        return reply

    async def tend(self) -> None:
        """End sessions when they are idle, for ever."""
        await self._pool.tend()

    async def end(self) -> None:
        """End each session with its last call, and return when there is none left."""
        await self._pool.end()

    def _session(self, call: Call, handed: Handed) -> AbstractAsyncContextManager[Opened]:
        if self._opening.over_http and self._condition.era == "modern":
            # Nothing is kept between two requests, and each carries its own credentials.
            return self._pool.session(("", b""), self._without_state)
        owner = "" if self._block.isolation == "shared" else call.caller.identity.name
        return self._pool.session((owner, handed.fingerprint), partial(self._open, handed))

    async def _open(self, handed: Handed) -> Opened:
        return await self._opening.open(handed, self._condition.era)

    async def _without_state(self) -> Opened:
        if self._condition.peer is None:
            raise unavailable(self._name, "it has not been read yet")
        return await self._opening.without_state(self._condition.peer)


def _completes_nothing(peer: Peer) -> bool:
    # The face says for all upstreams together that it completes. The capability came with revision 2025-03-26.
    return not peer.can("completions") and peer.protocol != "2024-11-05"
