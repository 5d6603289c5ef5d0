"""Executing one `tools/call`: the ledger first, then the tool."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from tests.parts.odd_server import results
from tests.parts.odd_server.definitions import MISBEHAVIOURS
from tests.parts.odd_server.ledger import Ledger
from tests.parts.odd_server.wire import (
    INVALID_PARAMS,
    LEVEL_KEY,
    LEVELS,
    JsonObject,
    Request,
    RpcError,
    dump,
    notification,
    result,
)

FLOOD = 2_000
"""Notices that `misbehave` sends at once."""


class Withheld(Exception):
    """The request gets no answer from here: a tool saw to that itself."""


class Calls:
    """The tools, and what they remember. `offers`: whether a tool of that name is on offer now."""

    def __init__(self, ledger: Ledger, offers: Callable[[str], bool], change: Callable[[str], Awaitable[None]]) -> None:
        self._ledger = ledger
        self._offers = offers
        self._change = change
        self._started: list[str] = []
        self._cancelled: list[str] = []

    async def call(self, request: Request) -> JsonObject:
        """The tool's result, in the shape that both eras share. Raises RpcError, or Withheld for no answer."""
        name, arguments = request.params.get("name"), request.params.get("arguments") or {}
        if not isinstance(name, str) or not self._offers(name):
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {name}")
        if not isinstance(arguments, dict):
            raise RpcError(INVALID_PARAMS, "arguments must be an object")
        self._ledger.write(name, arguments, request.meta)
        return await self._run(name, arguments, request)

    async def _run(self, name: str, arguments: JsonObject, request: Request) -> JsonObject:
        match name:
            case "echo" | "by_region":
                return {"structuredContent": arguments, "content": [results.text(dump(arguments).decode())]}
            case "odd":
                return results.odd(request.era)
            case "every_content":
                return results.every_content()
            case "numbers":
                return results.numbers()
            case "key_order":
                return results.key_order()
            case "structured":
                return results.structured()
            case "tool_error":
                return results.tool_error()
            case "rpc_error":
                raise RpcError(4242, "it went wrong in the protocol", detail={"z": None, "a": 2**64}, more=[None])
            case "note" | "forget_session" | "extra":
                return {"content": [results.text(str(arguments.get("id", "done")))]}
            case "large":
                return {"content": [results.text("x" * int(arguments.get("bytes", 0)))]}
            case "slept":
                value = {"started": list(self._started), "cancelled": list(self._cancelled)}
                return {"content": [results.text(dump(value).decode())], "structuredContent": value}
        return await self._run_long(name, arguments, request)

    async def _run_long(self, name: str, arguments: JsonObject, request: Request) -> JsonObject:
        match name:
            case "progress":
                await self._progress(int(arguments.get("steps", 3)), request)
            case "logs":
                await self._logs(request)
            case "slow":
                await self._sleep(str(arguments.get("key")))
            case "change_list":
                await self._change(str(arguments.get("which", "tools")))
            case "misbehave":
                await self._misbehave(arguments.get("how"), request)
        return {"content": [results.text(f"{name} done")]}

    async def _progress(self, steps: int, request: Request) -> None:
        token = request.meta.get("progressToken")
        if token is None:
            return
        for step in range(1, steps + 1):
            params = {"progress": step, "progressToken": token, "total": steps, "message": f"step {step}", "x": None}
            await request.send(notification("notifications/progress", params))

    async def _logs(self, request: Request) -> None:
        # Modern: only for a request that names a level. Legacy: from the session's level on.
        lowest = request.meta.get(LEVEL_KEY) if request.era == "modern" else request.session.level
        if lowest not in LEVELS:
            return
        for level in LEVELS[LEVELS.index(lowest) :]:
            params = {"data": {"at": level, "null": None}, "level": level, "logger": "odd", "x": 2**64}
            await request.send(notification("notifications/message", params))

    async def _sleep(self, key: str) -> None:
        self._started.append(key)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._cancelled.append(key)
            raise

    async def _misbehave(self, how: object, request: Request) -> None:
        answer = dump(result(request.id, {"content": [results.text("first")], "resultType": "complete"}))
        match how:
            case "never":
                await asyncio.Event().wait()
            case "twice":
                await request.raw(answer + b"\n" + answer.replace(b"first", b"second") + b"\n")
            case "wrong-id":
                other = dump(result("nobody-asked", {"content": [results.text("first")], "resultType": "complete"}))
                await request.raw(other + b"\n")
            case "not-json":
                await request.raw(b"{this is not JSON\n")
            case "not-utf8":
                await request.raw(answer.replace(b"first", b"\xff\xfe") + b"\n")
            case "half":
                await request.raw(answer[: len(answer) // 2])
                os._exit(1)
            case "flood":
                for step in range(FLOOD):
                    params = {"progressToken": request.meta.get("progressToken", "none"), "progress": step}
                    await request.send(notification("notifications/progress", params))
                return
            case "unasked":
                params = {"progressToken": "nobody-asked", "progress": 1}
                await request.send(notification("notifications/progress", params))
                return
            case "close":
                await request.raw(b"")
            case "crash":
                os._exit(1)
            case _:
                raise RpcError(INVALID_PARAMS, f"how must be one of {', '.join(MISBEHAVIOURS)}")
        raise Withheld
