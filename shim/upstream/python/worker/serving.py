"""The conversation with the shim: MCP of revision 2026-07-28 over the standard streams, one JSON message a line.

Source: specification 2026-07-28, basic/transports/stdio, server/discover, server/tools, and its schema. Beside that
the shim says once what is to be served, and asks whether a call that it cancelled is over.

A thread reads, so that it hears the shim whatever functions do. Functions that are `async` run in the loop of the main
thread, all others in threads; whoever is done writes the answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sys
import threading
from typing import IO, Any

from .calls import INVALID, Calls, Refused

_PREFIX = "io.github.mcp-shim/"
_LOAD, _OVER = f"{_PREFIX}load", f"{_PREFIX}over"
_CACHED = {"ttlMs": 300_000, "cacheScope": "private"}
_UNKNOWN_METHOD = -32601
_LAST = 1.0
"""Seconds that calls have to end in once the shim is gone."""


class Output:
    """Writes messages, each whole, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def say(self, message: dict[str, Any]) -> None:
        data = memoryview(json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode() + b"\n")
        with self._lock:
            while data:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except BrokenPipeError:
                    # Nobody is there any more, and the end of the input says so too.
                    return

    def answer(self, id_: Any, result: dict[str, Any]) -> None:
        self.say({"id": id_, "result": {"resultType": "complete", **result}})

    def refuse(self, id_: Any, code: int, message: str) -> None:
        self.say({"id": id_, "error": {"code": code, "message": message}})


class Serving:
    """Hears the shim in `listen` and serves it in `attend`, each in a thread of its own until the end."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._orders: queue.SimpleQueue[tuple[Any, dict[str, Any]] | None] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._calls = Calls(output, self._loop)

    def attend(self) -> None:
        """In the main thread: load what is to be served, once, and run what is `async`."""
        order = self._orders.get()
        if order is None:
            return
        try:
            left = _load(self._calls, order[1])
        except Refused as error:
            self._output.refuse(order[0], error.code, str(error))
        else:
            self._output.answer(order[0], {"source": self._calls.source, "left": left})
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def listen(self, source: IO[bytes]) -> None:
        for line in source:
            message = json.loads(line)
            try:
                self._take(message)
            except Refused as error:
                self._output.refuse(message.get("id"), error.code, str(error))
        self._orders.put(None)
        if not self._calls.end(_LAST):
            # Something does not heed that it is cancelled: it ends with all the rest.
            sys.stdout.flush()
            os._exit(1)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _take(self, message: dict[str, Any]) -> None:
        id_, params = message.get("id"), message.get("params") or {}
        match message.get("method"):
            case "server/discover":
                offered = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
                self._output.answer(id_, {**offered, **_CACHED})
            case "tools/list":
                self._output.answer(id_, {"tools": self._calls.definitions, **_CACHED})
            case "tools/call":
                self._calls.begin(id_, params)
            case "notifications/cancelled":
                self._calls.cancel(params.get("requestId"))
            case method if method == _LOAD:
                self._orders.put((id_, params))
            case method if method == _OVER:
                self._calls.tell_when_over(params["invocation"], id_)
            case method if id_ is not None:
                raise Refused(_UNKNOWN_METHOD, f"There is no {method} here")


def _load(calls: Calls, order: dict[str, Any]) -> list[str]:
    try:
        from .finding import Unusable
        from .functions import load
    except ImportError as error:
        raise Refused(
            INVALID,
            f"{sys.executable} has not what functions are served with ({error}); "
            f"run {sys.executable} -m pip install pydantic docstring-parser",
        ) from None
    try:
        functions, left = load(order["functions"], frozenset(order["injected"]))
    except Unusable as error:
        raise Refused(INVALID, str(error)) from None
    calls.serve(functions)
    return left


def main() -> None:
    """Serve until the input ends."""
    source, descriptor = os.fdopen(os.dup(0), "rb"), os.dup(1)
    # What functions read is empty, and what they print goes where errors go: neither is the conversation.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    serving = Serving(Output(descriptor))
    threading.Thread(target=serving.listen, args=(source,), name="listening", daemon=True).start()
    serving.attend()
    sys.stdout.flush()
