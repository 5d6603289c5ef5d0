"""A session with the process that functions run in: what it is told beside MCP, and how it ends with what is stuck."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import anyio

from shim.errors import Refusal
from shim.model import META_PREFIX, Json, JsonObject, Reply
from shim.upstream.arguments import NoSchema, compiled
from shim.upstream.definitions import defined
from shim.upstream.exchange import Ask
from shim.upstream.failures import Ended, Unfitting, unavailable
from shim.upstream.inbox import Watcher
from shim.upstream.session import Peer, Spawn
from shim.upstream.stdio import StdioSession

_LOAD, _OVER = f"{META_PREFIX}load", f"{META_PREFIX}over"
_CALL, _INJECT, _SOURCE = f"{META_PREFIX}call", f"{META_PREFIX}inject", f"{META_PREFIX}source"
_UNFIT = f"{META_PREFIX}unfit"
_CHANGED: Final = "the source of its functions has changed, and is being read again"
_LOADING = 60.0
_LIMIT = 10 * 2**20
_LONGEST = 2000
_HEEDING, _OTHERS = 1.0, 10.0


@dataclass(slots=True)
class Sources:
    """Which code the processes of one upstream have: that of the newest, and that which the catalog was read from.

    `left` is what was left out, as it was last said.
    """

    newest: str | None = None
    read: str | None = None
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to serve. `injected` is by parameter, with values of secrets in it: never to be shown."""

    functions: Sequence[str]
    parameters: Sequence[str]
    injected: Mapping[str, str] = field(repr=False)


class WorkerSession:
    """See `Session`. The conversation is that of a stdio upstream.

    A call that was left early, and whose function goes on all the same, ends with its process: at once where that has
    no other call, else after those, which have some seconds for that. Other calls find a new process meanwhile.
    """

    def __init__(
        self,
        name: str,
        inner: StdioSession,
        order: Order,
        sources: Sources,
        watcher: Watcher,
        spawn: Spawn,
        hide: Callable[[str], str],
    ) -> None:
        """`hide` takes out of what the worker says of its functions what nobody should read."""
        self.peer: Peer | None = None
        self.ended = inner.ended
        self.inbox = inner.inbox
        self._name = name
        self._log = logging.getLogger(f"shim.upstream.{name}")
        self._inner = inner
        self._order = order
        self._sources = sources
        self._watcher = watcher
        self._spawn = spawn
        self._hide = hide
        self._source: str | None = None
        self._calls = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._is_stuck = False

    @property
    def alive(self) -> bool:
        return self._inner.alive and not self._is_stuck and not self._is_old

    @property
    def why(self) -> str:
        """See `Session`."""
        if self._is_stuck:
            return "one of its functions did not heed that it was cancelled"
        return _CHANGED if self._is_old else self._inner.why

    @property
    def said(self) -> str | None:
        """See `Session`."""
        return self._inner.said

    @property
    def _is_old(self) -> bool:
        return self._source is not None and self._source != self._sources.newest

    async def request(self, ask: Ask) -> Reply:
        """See `Session`. Raises the Refusals."""
        if ask.method == "tools/list":
            reply = await self._inner.request(ask)
            self._sources.read = self._source
            return self._offered(reply)
        return await self._call(ask) if ask.method == "tools/call" else await self._inner.request(ask)

    async def notify(self, method: str) -> None:
        """See `Session`."""
        await self._inner.notify(method)

    async def opened(self) -> None:
        """Have the functions loaded. Raises Ended: it says to whoever runs the shim what is wrong with them."""
        order: JsonObject = {"functions": [*self._order.functions], "injected": [*self._order.parameters]}
        reply = await self._inner.request(Ask(_LOAD, order, _LOADING, _LIMIT))
        if reply.error is not None:
            raise Ended(self._name, "its functions cannot be served", self._shown(reply.error.get("message")))
        result = reply.result or {}
        left = tuple(map(self._shown, result.get("left") or ()))
        if left != self._sources.left:
            self._sources.left = left
            for one in left:
                self._log.warning("left out %s", one)
        self._source = self._sources.newest = str(result.get("source"))

    async def close(self) -> None:
        """See `Session`. Where this one only serves no other call, those in flight go on before that."""
        if self._is_stuck or self._is_old:
            with anyio.move_on_after(_OTHERS if self._is_stuck else None):
                await self._quiet.wait()
        await self._inner.close()

    def _shown(self, text: Json) -> str:
        # It holds what modules raised.
        hidden = self._hide(" ".join(str(text).split()))
        return "".join(character if character.isprintable() else "?" for character in hidden)[:_LONGEST]

    async def _call(self, ask: Ask) -> Reply:
        if self._source != self._sources.read:
            # What is pinned is another code than this one.
            self._watcher.lists_changed()
            raise unavailable(self._name, f"{_CHANGED}: try again")
        if not self.alive:
            raise unavailable(self._name, self.why)
        self._calls += 1
        self._quiet.clear()
        try:
            reply = await self._inner.request(self._told(ask))
        except BaseException:
            if self._inner.alive:
                self._spawn(self._see_off, ask.invocation)
            raise
        finally:
            self._calls -= 1
            if self._calls == 0:
                self._quiet.set()
        return _made(reply)

    def _offered(self, reply: Reply) -> Reply:
        """What can be called, with the code that it stands for in its digests and no longer to be seen."""
        if reply.result is None:
            return reply
        tools = [_of_source(tool) for tool in reply.result["tools"] if self._has_schema(tool)]
        return replace(reply, result={**reply.result, "tools": tools})

    def _has_schema(self, tool: JsonObject) -> bool:
        try:
            compiled(tool["inputSchema"])
        except NoSchema as error:
            self._log.warning("left out %s: no arguments can be judged by its schema: %s", tool["name"], error)
            return False
        return True

    def _told(self, ask: Ask) -> Ask:
        """The request with what the worker is to know of the call, whatever the caller has written there."""
        meta: JsonObject = {**ask.params.get("_meta", {}), _INJECT: dict(self._order.injected)}
        if (call := ask.call) is not None:
            meta[_CALL] = {"invocation": call.id, "identity": call.caller.identity.name, "run": call.run}
        return replace(ask, params={**ask.params, "_meta": meta})

    async def _see_off(self, invocation: str | None) -> None:
        """End the process if this call, which nobody waits for any more, does not end by itself."""
        try:
            await self._inner.request(Ask(_OVER, {"invocation": invocation}, _HEEDING, _LIMIT))
        except Refusal:
            self._is_stuck = True
            await self.close()


def _made(reply: Reply) -> Reply:
    """The answer of a function. Raises Unfitting where the worker has not called it."""
    result = reply.result or {}
    meta = result.get("_meta")
    if isinstance(meta, dict) and _UNFIT in meta:
        raise Unfitting(result["content"][0]["text"])
    return reply


def _of_source(tool: JsonObject) -> JsonObject:
    meta = {**tool.get("_meta", {})}
    source = meta.pop(_SOURCE, None)
    return defined({**tool, "_meta": meta}, source)
