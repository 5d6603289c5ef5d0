"""One session with an MCP server over streamable HTTP, in either era.

Source: specification 2026-07-28 basic/transports/streamable-http (modern: every request is a POST of its own, closing
its stream cancels it) and 2025-11-25 basic/transports (legacy: a session id, a GET stream, notices of cancellation).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping

import anyio
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    encode_header_value,
)
from mcp_types import PROTOCOL_VERSION_META_KEY

from shim.errors import InvalidText, Refusal
from shim.jsontext import dump
from shim.model import JsonObject, Reply
from shim.upstream.connections import NotSent
from shim.upstream.endpoint import Endpoint
from shim.upstream.exchange import Ask, Exchange
from shim.upstream.failures import fault, rejected, too_large, unavailable, unknown
from shim.upstream.inbox import Inbox, Watcher
from shim.upstream.pace import Turn
from shim.upstream.session import Peer, Spawn
from shim.upstream.sse import Events, EventTooLong, messages
from shim.upstream.standing import StandingStream
from shim.upstream.wire import Connection, Lost

SESSION_HEADER = "mcp-session-id"

_BOTH = "application/json, text/event-stream"
_JSON = "application/json"
_STREAM = "text/event-stream"
_ASIDE = 10.0
_GOODBYE = 2.0
_NEVER_AN_ANSWER = frozenset({401, 403, 407, 429})
_RESUME, _RESUME_LEAST = 1.0, 0.1


class HttpSession:
    """Many calls at once, each a POST of its own that is sent once, whatever comes of it.

    `headers` go with everything that the session sends: the credentials that it was opened with.
    """

    def __init__(
        self, name: str, endpoint: Endpoint, watcher: Watcher, limit: int, spawn: Spawn, headers: Mapping[str, str]
    ) -> None:
        self.peer: Peer | None = None
        self.ended = asyncio.Event()
        self.why = "its session ended"
        self.said: str | None = None
        self.inbox = Inbox(name, watcher, self._say)
        self._name = name
        self._endpoint = endpoint
        self._watcher = watcher
        self._limit = limit
        self._spawn = spawn
        self._own = headers
        self._ids = itertools.count(1)
        self._id: str | None = None
        self._stopping = asyncio.Event()
        self._running = False

    @property
    def alive(self) -> bool:
        return not self._stopping.is_set()

    async def request(self, ask: Ask) -> Reply:
        """POST one request and await its answer. Raises the Refusals; when left early, the upstream is told."""
        exchange = Exchange(self._name, next(self._ids), ask)
        if not self.alive:
            raise unavailable(self._name, self.why)
        self.inbox.expect(exchange)
        try:
            return await exchange.within(self._exchange)
        finally:
            self.inbox.forget(exchange)
            legacy = self.inbox.era == "legacy" and self.peer is not None
            if legacy and exchange.sent and not exchange.over:
                params = {"requestId": exchange.id}
                self._say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    async def _exchange(self, exchange: Exchange) -> Reply:
        headers, body = self._headers(exchange.ask), exchange.ask.line(exchange.id)
        try:
            connection = await self._endpoint.connect()
        except NotSent as error:
            raise unavailable(self._name, str(error)) from None
        exchange.sent = exchange.bound = True
        self._endpoint.send(connection, "POST", headers, body)
        try:
            await connection.head()
            if exchange.ask.method == "initialize":
                self._remember(connection.headers.get(SESSION_HEADER))
            await self._answer(connection, exchange)
        except Lost as lost:
            raise unknown(self._name, str(lost)) from None
        except Refusal as refusal:
            exchange.fail(refusal)
        finally:
            connection.release(answered=exchange.reply is not None)
        return await exchange.arrived()

    async def _answer(self, connection: Connection, exchange: Exchange) -> None:
        status, kind = connection.status, media_type(connection.headers)
        if status == 404 and self._id is not None and exchange.ask.method != "initialize":
            self.lose("its session had ended")
            raise unavailable(self._name, "its session had ended, and the call was not run; call again")
        if not 200 <= status < 300:
            await self._refusal(connection, exchange, kind)
        elif "content-encoding" in connection.headers and connection.headers["content-encoding"] != "identity":
            raise fault(self._name, "sent an answer in an encoding that it was not asked for")
        elif kind == _JSON:
            body = await self._body(connection, exchange.ask.limit)
            await self._take(body, exchange, Turn(self._endpoint.pace))
        elif kind == _STREAM:
            await self._stream(connection, exchange)
        else:
            raise fault(self._name, f"answered with HTTP status {status} and nothing that is an answer")
        if not exchange.over:
            raise fault(self._name, "sent something else than the answer to the call")

    async def _refusal(self, connection: Connection, exchange: Exchange, kind: str) -> None:
        # A modern upstream carries its JSON-RPC errors in 400 and 404; any other status speaks for itself.
        status = connection.status
        if kind == _JSON and 400 <= status < 500 and status not in _NEVER_AN_ANSWER:
            data = await self._body(connection, exchange.ask.limit)
            try:
                message = await Turn(self._endpoint.pace).parsed(data)
            except InvalidText:
                raise rejected(self._name, status) from None
            if isinstance(message, dict) and message.get("id") == exchange.id and "error" in message:
                self.inbox.take(message, len(data), exchange)
        if not exchange.over:
            raise rejected(self._name, status)

    async def _stream(self, connection: Connection, exchange: Exchange) -> None:
        """Read an event stream until it has answered; a legacy stream that broke off is resumed where it allows."""
        events = Events(exchange.ask.limit)
        try:
            await self._listen(connection, events, exchange)
            while not exchange.over:
                if events.id is None or self.inbox.era != "legacy":
                    raise Lost
                await self._resume(events, exchange)
        except EventTooLong:
            raise too_large(self._name, exchange.ask.limit) from None

    async def _listen(self, connection: Connection, events: Events, exchange: Exchange) -> None:
        try:
            turn = Turn(self._endpoint.pace)
            async for data in messages(connection, events, turn):
                await self._take(data, exchange, turn)
                if exchange.over:
                    return
        except Lost:
            if events.id is None:
                raise

    async def _resume(self, events: Events, exchange: Exchange) -> None:
        """Ask for the rest of a broken stream: a GET, by which nothing is run again. Raises Lost."""
        exchange.bound = False
        await asyncio.sleep(max(_RESUME_LEAST, events.retry if events.retry is not None else _RESUME))
        if exchange.over:
            return
        headers = {"accept": _STREAM, **self.session_headers(), "last-event-id": (events.id or b"").decode("latin-1")}
        try:
            connection = await self._endpoint.begin("GET", headers)
        except NotSent:
            raise Lost from None
        try:
            await connection.head()
            if connection.status != 200 or media_type(connection.headers) != _STREAM:
                raise Lost
            events.restart()
            await self._listen(connection, events, exchange)
        finally:
            connection.release(answered=exchange.over)

    async def _body(self, connection: Connection, limit: int) -> bytes:
        length = connection.headers.get("content-length", "")
        if length.isdigit() and int(length) > limit:
            raise too_large(self._name, limit)
        parts: list[bytes] = []
        size = 0
        while chunk := await connection.read():
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                raise too_large(self._name, limit)
        return b"".join(parts)

    async def _take(self, data: bytes, exchange: Exchange, turn: Turn) -> None:
        try:
            message = await turn.parsed(data)
        except InvalidText:
            raise fault(self._name, "sent an answer that is not valid JSON") from None
        for one in message if isinstance(message, list) else [message]:
            self.inbox.take(one, len(data), exchange)
        if exchange.noticed:
            turn.book()
            await exchange.deliver()
            turn.begin()

    def _headers(self, ask: Ask) -> dict[str, str]:
        headers = {"accept": _BOTH, "content-type": _JSON, **self._own}
        meta = ask.params.get("_meta")
        version = meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None
        if isinstance(version, str):
            headers[MCP_PROTOCOL_VERSION_HEADER] = version
            headers[MCP_METHOD_HEADER] = ask.method
            if ask.name is not None:
                headers[MCP_NAME_HEADER] = encode_header_value(ask.name)
            headers.update(ask.headers)
        else:
            headers.update(self.session_headers())
        return headers

    def session_headers(self) -> dict[str, str]:
        """What names a legacy session in every request after the handshake, and what it was opened with."""
        headers = dict(self._own)
        if self._id is not None:
            headers[SESSION_HEADER] = self._id
        if self.peer is not None:
            headers[MCP_PROTOCOL_VERSION_HEADER] = self.peer.protocol
        return headers

    def _remember(self, id_: str | None) -> None:
        if id_ is not None and (len(id_) > 4096 or not all("!" <= character <= "~" for character in id_)):
            raise fault(self._name, "named its session with characters that are not allowed")
        self._id = id_

    async def notify(self, method: str) -> None:
        """Send a notice that has no params, and see it accepted. Raises UpstreamUnavailable."""
        try:
            async with asyncio.timeout(_ASIDE):
                status = await self._aside({"jsonrpc": "2.0", "method": method})
        except (NotSent, Lost, TimeoutError):
            raise unavailable(self._name, "its session could not be opened") from None
        if not 200 <= status < 300:
            raise rejected(self._name, status)

    async def opened(self) -> None:
        """A legacy session listens on a stream of its own before its first call, and says goodbye in the end."""
        if self.inbox.era == "modern":
            return
        stream = StandingStream(self._endpoint, self.inbox, self._limit, self.session_headers, self.lose, self._watcher)
        self._running = True
        self._spawn(self._run, stream)
        await stream.settled()

    async def close(self) -> None:
        """End the session. Bounded in time."""
        self.lose("its session was closed")
        if self._running:
            await self.ended.wait()

    def lose(self, why: str) -> None:
        """The session is over: the next call opens another."""
        if self.alive:
            self.why = why
            self._stopping.set()
        if not self._running:
            self.ended.set()

    async def _run(self, stream: StandingStream) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(stream.run)
                await self._stopping.wait()
                group.cancel_scope.cancel()
        finally:
            self.lose("the shim is stopping")
            if self._id is not None:
                with anyio.CancelScope(shield=True):
                    await self._say_goodbye()
            self.ended.set()

    async def _say_goodbye(self) -> None:
        try:
            async with asyncio.timeout(_GOODBYE):
                connection = await self._endpoint.begin("DELETE", self.session_headers())
                try:
                    await connection.head()
                finally:
                    connection.release(answered=True)
        except (NotSent, Lost, TimeoutError):
            return

    def _say(self, message: JsonObject) -> None:
        # Answers and cancellations are POSTs of their own, beside the call and whether or not it is still awaited.
        self._spawn(self._say_aside, message)

    async def _say_aside(self, message: JsonObject) -> None:
        try:
            async with asyncio.timeout(_ASIDE):
                await self._aside(message)
        except (NotSent, Lost, TimeoutError):
            self.inbox.odd("that a message to it could not be delivered")

    async def _aside(self, message: JsonObject) -> int:
        """POST a message that is not answered; its status."""
        headers = {"accept": _BOTH, "content-type": _JSON, **self.session_headers()}
        connection = await self._endpoint.begin("POST", headers, dump(message))
        try:
            await connection.head()
            return connection.status
        finally:
            connection.release(answered=True)


def media_type(headers: Mapping[str, str]) -> str:
    """The bare content type of a response."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
