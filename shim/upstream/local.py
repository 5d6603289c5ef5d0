"""Upstreams that are no MCP servers: what each of their kinds offers and does, and a session that speaks for it.

The session answers as a server of revision 2026-07-28 does, so that everything around it is as with any other upstream:
supervision, catalogs, timeouts, progress, bounds.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import anyio
from mcp_types import METHOD_NOT_FOUND
from mcp_types.version import LATEST_MODERN_VERSION

from shim import jsontext
from shim.errors import Refusal
from shim.model import JsonObject, Reply
from shim.upstream.exchange import Ask, Exchange
from shim.upstream.failures import too_large, unavailable, unknown
from shim.upstream.inbox import Inbox, Watcher
from shim.upstream.session import Peer


@dataclass(frozen=True, slots=True)
class Doing:
    """What one call is done with. `limit` is in bytes, of the whole result.

    `began` is called before anything happens that may have an effect:
    a call that ends before it was never made. `progress` tells the caller how far it is (done, of how much, in words).
    """

    invocation: str | None
    limit: int
    began: Callable[[], None]
    progress: Callable[[float, float | None, str | None], None]


class Toolset(Protocol):
    """The tools of one upstream, with certain secrets. Both may be called at the same time, and cancelled at any."""

    async def tools(self) -> Sequence[JsonObject]:
        """Definitions of tools, as MCP has them. Raises the Refusals."""

    async def call(self, name: str, arguments: JsonObject, doing: Doing, /) -> JsonObject:
        """The result of one call, as MCP has it. Raises the Refusals.

        Nothing of it is left when this returns or raises, also where it is cancelled.
        """


class LocalSession:
    """Answers for a toolset. Any number of calls at once; each ends by itself when the session is closed.

    `is_ours`: results are made here of what was said, and may have members in `_meta` that only the shim sets.
    """

    def __init__(self, name: str, toolset: Toolset, watcher: Watcher, *, is_ours: bool = False) -> None:
        self.peer: Peer | None = None
        self.ended = asyncio.Event()
        self.inbox = Inbox(name, watcher, lambda _: None)
        self._name = name
        self._toolset = toolset
        self._is_ours = is_ours
        self._ids = itertools.count(1)
        self._waiting: set[Exchange] = set()

    @property
    def alive(self) -> bool:
        return not self.ended.is_set()

    @property
    def why(self) -> str:
        """See `Session`."""
        return "it was closed"

    @property
    def said(self) -> str | None:
        """Nothing is said beside the answers."""
        return None

    async def request(self, ask: Ask) -> Reply:
        """See `Session`. Raises the Refusals."""
        if self.ended.is_set():
            raise unavailable(self._name, self.why)
        exchange = Exchange(self._name, next(self._ids), ask)
        self._waiting.add(exchange)
        try:
            return await exchange.within(self._answered)
        finally:
            self._waiting.discard(exchange)

    async def notify(self, method: str) -> None:
        """There is nobody to be told."""

    async def opened(self) -> None:
        """There is nothing to prepare."""

    async def close(self) -> None:
        """Calls still in flight fail."""
        self.ended.set()
        for exchange in self._waiting:
            exchange.fail(unknown(self._name) if exchange.sent else unavailable(self._name, self.why))

    async def _answered(self, exchange: Exchange) -> Reply:
        failure: Refusal | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._answer, exchange)
            try:
                reply = await exchange.arrived()
            except Refusal as refusal:
                failure = refusal
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return reply

    async def _answer(self, exchange: Exchange) -> None:
        ask = exchange.ask
        try:
            result = await self._result(exchange)
        except Refusal as refusal:
            exchange.fail(refusal)
            return
        if result is None:
            error: JsonObject = {"code": METHOD_NOT_FOUND, "message": f"There is no {ask.method[:100]} here"}
            exchange.answer(Reply(None, error, 0))
            return
        size = len(jsontext.dump(result))
        if size > ask.limit:
            exchange.fail(too_large(self._name, ask.limit))
        else:
            exchange.answer(Reply(result, None, size, is_ours=self._is_ours))

    async def _result(self, exchange: Exchange) -> JsonObject | None:
        ask = exchange.ask
        match ask.method:
            case "server/discover":
                return {
                    "resultType": "complete",
                    "supportedVersions": [LATEST_MODERN_VERSION],
                    "capabilities": {"tools": {}},
                }
            case "tools/list":
                return {"resultType": "complete", "tools": [*await self._toolset.tools()]}
            case "tools/call":
                doing = Doing(
                    ask.invocation,
                    ask.limit,
                    lambda: _began(exchange),
                    lambda *how: _progress(exchange, *how),
                )
                return await self._toolset.call(ask.params["name"], ask.params.get("arguments") or {}, doing)
        return None


def _began(exchange: Exchange) -> None:
    exchange.sent = True


def _progress(exchange: Exchange, done: float, total: float | None, message: str | None) -> None:
    said: JsonObject = {"progressToken": exchange.id, "progress": done}
    said |= {"total": total} if total is not None else {}
    exchange.progress(said | ({"message": message} if message is not None else {}))
