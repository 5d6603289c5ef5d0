"""One upstream as the shim has it: somebody who attends to it, and the calls that go to it."""

from __future__ import annotations

import asyncio
from typing import cast

from shim.lending import Leased, Need
from shim.model import Call, Era, JsonObject, Listener, Offered, Reply, Subscriber, Tool, UpstreamStatus
from shim.upstream.attendant import Attendant
from shim.upstream.calls import Calls
from shim.upstream.condition import Condition
from shim.upstream.config import UpstreamBlock
from shim.upstream.definitions import CATALOG_LIMIT
from shim.upstream.failures import unavailable
from shim.upstream.hearing import SUBSCRIBE
from shim.upstream.opening import Opening
from shim.upstream.session import Kind
from shim.upstream.subscribing import Subscribing
from shim.upstream.surroundings import Surroundings
from shim.upstream.wants import Wants

_FORCED: dict[str, Era | None] = {"auto": None, "2025-11-25": "legacy", "2026-07-28": "modern"}


class Link:
    """`run` is its life; everything else may be called at any time. Hears what sessions say outside of calls."""

    def __init__(self, name: str, block: UpstreamBlock, kind: Kind, around: Surroundings, wants: Wants) -> None:
        self.name = name
        self._kind = kind
        self._around = around
        self._retired = False
        limit = max(block.max_result, CATALOG_LIMIT)
        opening = Opening(name, kind, self, around.me, around.spawn, limit)
        self._condition = Condition(name, _FORCED[block.era])
        self._attendant = Attendant(name, block, opening, self._condition, around, limit)
        self._calls = Calls(name, block, opening, self._condition, around, self._attendant.nudge)
        self._subscribing = Subscribing(name, wants, self._calls, self._condition, around, limit)

    @property
    def first(self) -> asyncio.Event:
        """Set once the first attempt to connect is over."""
        return self._condition.first

    def needs(self, bind: tuple[tuple[str, str], ...]) -> tuple[Need, ...]:
        """See `Calls.needs`."""
        return self._calls.needs(bind)

    @property
    def can_judge(self) -> bool:
        """See `Kind.can_judge`."""
        return self._kind.can_judge

    def misfit(self, tool: Tool, arguments: JsonObject) -> str | None:
        """See `Kind.misfit`."""
        return self._kind.misfit(tool, arguments)

    def forget(self, fingerprint: bytes) -> None:
        """See `Calls.forget`."""
        self._calls.forget(fingerprint)

    def status(self) -> UpstreamStatus:
        return self._condition.status()

    async def run(self) -> None:
        """Connect, and stay connected."""
        await self._attendant.run()

    async def tend(self) -> None:
        """End the sessions of calls when they are idle, for ever."""
        await self._calls.tend()

    def broke(self) -> None:
        """`run` failed in a way that nobody foresaw; it will be called again."""
        error = str(unavailable(self.name, "the shim failed to keep it; see its log"))
        self._condition.down(error, error)

    async def retire(self) -> None:
        """After `run` was ended, because this upstream is configured no more: return when its last call is over.

        Calls go on, and those of requests that began before may still begin: each session ends with its last call.
        """
        self._retired = True
        self._condition.leave()
        self._subscribing.end()
        await self._calls.end()
        await self._kind.close()

    async def close(self) -> None:
        """After `run` and all sessions have ended."""
        await self._kind.close()

    def lists_changed(self) -> None:
        self._attendant.nudge()

    def secrets_changed(self) -> None:
        """See `Attendant.secrets_changed`."""
        self._attendant.secrets_changed()

    def refused(self, method: str, invocation: str | None) -> None:
        self._around.event("upstream.refused", {"upstream": self.name, "method": method}, invocation)

    async def call(self, call: Call, target: Offered, params: JsonObject, listener: Listener, leased: Leased) -> Reply:
        """See `Upstreams.call`."""
        if call.method == SUBSCRIBE:
            return await self._subscribing.subscribe(call, target, cast(Subscriber, listener))
        try:
            return await self._calls.send(call, target, params, listener, leased)
        finally:
            if self._retired:
                # This call may have opened what had been ended already.
                self._around.spawn(self.retire)
