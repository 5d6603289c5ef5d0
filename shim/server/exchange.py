"""One HTTP request and its one response, which is JSON until there is something to say before the end.

An answer that comes first is a JSON body with the status that its error code stands for; once a notice comes before it,
or it takes longer than the ping interval, the response is an event stream and the answer its last event (MCP
2026-07-28, "Receiving Messages").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import anyio

from shim import jsontext
from shim.model import Json, JsonObject
from shim.server.headers import Headers

Event: TypeAlias = MutableMapping[str, Any]
"""An ASGI message."""
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
Scope: TypeAlias = MutableMapping[str, Any]
"""An ASGI connection scope."""

_JSON = (b"content-type", b"application/json")
_STREAM: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
ABORT: Final = "shim.abort"
"""Where the scope of a request has the function that ends its connection at once."""
_PING: Final = b": ping\r\n\r\n"
_DRAINED_SECONDS = 1.0
_DRAINED_BYTES = 2**24


class TooLarge(Exception):
    """A body that exceeds the bound."""


class Gone(Exception):
    """The client left before its request was complete."""


async def read_body(receive: Receive, bound: int) -> bytes:
    """The body of a request, read no further than `bound` bytes. Raises TooLarge and Gone."""
    event = await receive()
    if event["type"] == "http.disconnect":
        raise Gone
    body: bytes = event.get("body", b"")
    if not event.get("more_body", False):
        if len(body) > bound:
            raise TooLarge
        return body
    pieces, size = [body], len(body)
    while size <= bound:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Gone
        pieces.append(event.get("body", b""))
        size += len(pieces[-1])
        if size <= bound and not event.get("more_body", False):
            return b"".join(pieces)
    raise TooLarge


class Exchange:
    """Holds the request as it came, and writes the response. Notices may come from other tasks than the answer."""

    __slots__ = ("_lock", "headers", "receive", "scope", "send", "started", "streams")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.headers = Headers(scope["headers"])
        self._lock: anyio.Lock | None = None
        self.started = False
        """Whether a response has begun."""
        self.streams = False
        """Whether it is an event stream."""

    async def plain(self, status: int, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """A whole response at once; a body is JSON."""
        self.started = True
        fields = [(b"content-length", b"%d" % len(body)), *(headers or ())]
        if body:
            fields.append(_JSON)
        await self.send({"type": "http.response.start", "status": status, "headers": fields})
        await self.send({"type": "http.response.body", "body": body})

    async def early(self, status: int, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """A whole response to a request whose body is not read; the connection ends with it.

        What still comes is thrown away for a second, since a connection that is closed over unread data loses the
        response on its way.
        """
        self.started = True
        fields = [(b"content-length", b"%d" % len(body)), (b"connection", b"close"), *(headers or ())]
        if body:
            fields.append(_JSON)
        await self.send({"type": "http.response.start", "status": status, "headers": fields})
        if body:
            await self.send({"type": "http.response.body", "body": body, "more_body": True})
        size = 0
        with anyio.move_on_after(_DRAINED_SECONDS):
            while size < _DRAINED_BYTES:
                event = await self.receive()
                size += len(event.get("body", b""))
                if not event.get("more_body", False):
                    break
        await self.send({"type": "http.response.body", "body": b""})

    async def answer(self, message: bytes, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """The JSON-RPC response, which ends the exchange; `status` and `headers` are those of a plain body."""
        if not self.streams:
            await self.plain(status, message, headers)
            return
        async with self._writing():
            await self.send({"type": "http.response.body", "body": _event(message)})

    async def notify(self, method: str, params: JsonObject) -> None:
        """A notification, before the answer."""
        await self.piece(_event(jsontext.dump({"jsonrpc": "2.0", "method": method, "params": params})))

    async def watch(self, scope: anyio.CancelScope, interval: float) -> None:
        """Cancel `scope` when the client leaves; meanwhile ping every `interval` seconds, so that no proxy does."""
        while True:
            with anyio.move_on_after(interval) as waiting:
                while (await self.receive())["type"] != "http.disconnect":
                    pass
                scope.cancel()
                return
            if waiting.cancelled_caught:
                await self.piece(_PING)

    async def begin(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Begin an event stream of which nothing is to be said yet."""
        self.started = self.streams = True
        await self.send({"type": "http.response.start", "status": 200, "headers": [*_STREAM, *headers]})
        await self.send({"type": "http.response.body", "body": b"", "more_body": True})

    async def event(self, message: bytes, id_: str) -> None:
        """One event of a stream that can be taken up again after it. Without a message it says only where that is."""
        identified = b"id: " + id_.encode("ascii") + b"\r\n"
        await self.piece(identified + (_event(message) if message else b"data: \r\n\r\n"))

    async def end(self) -> None:
        """The end of a stream, without an answer."""
        async with self._writing():
            await self.send({"type": "http.response.body", "body": b""})

    def abort(self) -> None:
        """End the connection at once, whatever it still has to deliver."""
        abort = self.scope.get(ABORT)
        if abort is not None:
            abort()

    async def piece(self, piece: bytes) -> None:
        """Bytes of an event stream, which begins with them if it has not begun."""
        first, self.streams = not self.streams, True
        self.started = True
        async with self._writing():
            if first:
                await self.send({"type": "http.response.start", "status": 200, "headers": _STREAM})
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})

    def _writing(self) -> anyio.Lock:
        if self._lock is None:
            self._lock = anyio.Lock()
        return self._lock


def _event(message: bytes) -> bytes:
    return b"event: message\r\ndata: " + message + b"\r\n\r\n"


def encode_result(id_: Json, result: bytes) -> bytes:
    """A JSON-RPC response around an encoded result."""
    id_text = b"%d" % id_ if type(id_) is int else jsontext.dump(id_)
    return b'{"jsonrpc":"2.0","id":' + id_text + b',"result":' + result + b"}"


def encode_error(id_: Json, error: JsonObject) -> bytes:
    """A JSON-RPC error response; `id_` is None where the request's could not be read."""
    return jsontext.dump({"jsonrpc": "2.0", "id": id_, "error": error})
