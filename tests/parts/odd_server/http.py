"""The server over streamable HTTP at `/mcp`: one request a POST, legacy sessions beside stateless requests.

Source: "Streamable HTTP" of specification 2026-07-28 and of 2025-11-25. An answer is JSON, or an event stream from
the first notification on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from urllib.parse import urlsplit

from tests.parts.odd_server.calls import Withheld
from tests.parts.odd_server.connection import Connection, Received
from tests.parts.odd_server.headers import check_headers
from tests.parts.odd_server.server import OddServer
from tests.parts.odd_server.wire import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    LEGACY,
    METHOD_NOT_FOUND,
    MODERN,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
    Era,
    JsonObject,
    Request,
    RpcError,
    Session,
    failure,
    is_modern,
    result,
)

PATH = "/mcp"
LOCAL = ("127.0.0.1", "localhost", "::1")
STATUS = {PARSE_ERROR: 400, INVALID_REQUEST: 400, HEADER_MISMATCH: 400, UNSUPPORTED_VERSION: 400, METHOD_NOT_FOUND: 404}
"""HTTP status of an error that a modern request gets; others travel with 200."""


class Http:
    """Takes requests off connections, one at a time for each, and answers them."""

    def __init__(self, server: OddServer) -> None:
        self._server = server
        self._sessions: dict[str, Session] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection until it closes."""
        connection = Connection(reader, writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while (received := await connection.receive()) is not None:
                    await self._take(received, connection)
        finally:
            writer.close()

    async def _take(self, received: Received, connection: Connection) -> None:
        origin = received.headers.get("origin")
        if origin is not None and urlsplit(origin).hostname not in LOCAL:
            await connection.reply(403)
        elif received.path != PATH:
            await connection.reply(404)
        elif received.verb == "POST":
            await self._post(received, connection)
        elif received.verb in ("GET", "DELETE") and "legacy" in self._server.eras:
            await self._session_verb(received, connection)
        else:
            await connection.reply(405, headers={"allow": "POST"})

    async def _session_verb(self, received: Received, connection: Connection) -> None:
        name = received.headers.get("mcp-session-id", "")
        session = self._sessions.get(name)
        if session is None:
            await connection.reply(404 if name else 400)
        elif received.verb == "DELETE":
            self._end(name)
            await connection.reply(200)
        else:
            session.stream = connection.event
            await connection.begin_events()
            try:
                await connection.closed()
            finally:
                session.stream = None

    def _end(self, name: str) -> None:
        session = self._sessions.pop(name, None)
        if session is not None:
            self._server.leave(session)

    async def _post(self, received: Received, connection: Connection) -> None:
        try:
            message = json.loads(received.body)
        except ValueError:
            await connection.reply(400, failure(None, {"code": PARSE_ERROR, "message": "Parse error"}))
            return
        if not isinstance(message, dict) or not isinstance(message.get("method", ""), str):
            await connection.reply(400, failure(None, {"code": INVALID_REQUEST, "message": "Invalid request"}))
            return
        try:
            if self._is_modern(message, received):
                await self._stateless(message, received, connection)
            else:
                await self._in_session(message, received, connection)
        except RpcError as error:
            status = STATUS.get(error.error["code"], 400)
            await connection.reply(status, failure(message.get("id"), error.error))

    def _is_modern(self, message: JsonObject, received: Received) -> bool:
        if "modern" not in self._server.eras:
            return False
        if "legacy" not in self._server.eras:
            return True
        return is_modern(message.get("params")) or received.headers.get("mcp-protocol-version") == MODERN

    async def _stateless(self, message: JsonObject, received: Received, connection: Connection) -> None:
        check_headers(message, received.headers)
        if "id" not in message:
            await connection.reply(202)
            return
        request = self._request(message, "modern", Session("modern"), connection)
        if request.method == "subscriptions/listen":
            await connection.begin_events()
            try:
                await connection.event(self._server.subscribe(request))
                await connection.closed()
            finally:
                self._server.unsubscribe(request)
            return
        # A client that leaves has cancelled: the connection is watched while the answer is made.
        task = asyncio.ensure_future(self._answer(request, connection))
        await connection.during(task, cancel=True)

    async def _in_session(self, message: JsonObject, received: Received, connection: Connection) -> None:
        method = message.get("method")
        version = received.headers.get("mcp-protocol-version")
        if version is not None and version not in LEGACY:
            raise RpcError(INVALID_REQUEST, f"Bad Request: Unsupported protocol version: {version}")
        name = received.headers.get("mcp-session-id")
        headers: dict[str, str] = {}
        if method == "initialize":
            name, session = secrets.token_hex(16), Session()
            self._sessions[name] = session
            self._server.join(session)
            headers = {"mcp-session-id": name}
        elif name is None:
            raise RpcError(INVALID_REQUEST, "Bad Request: Missing session ID")
        elif name not in self._sessions:
            await connection.reply(404, failure(message.get("id"), {"code": -32600, "message": "Session not found"}))
            return
        session = self._sessions[name]
        if method is None or "id" not in message:
            self._heard(message, session)
            await connection.reply(202)
            return
        connection.extra = headers
        request = self._request(message, "legacy", session, connection)
        # A legacy client that leaves has not cancelled: only its notice does that.
        task = asyncio.ensure_future(self._answer(request, connection))
        session.running[request.id] = task
        try:
            await connection.during(task, cancel=False)
        finally:
            session.running.pop(request.id, None)
        if request.params.get("name") == "forget_session":
            self._end(name)

    def _heard(self, message: JsonObject, session: Session) -> None:
        if message.get("method") == "notifications/cancelled":
            task = session.running.get((message.get("params") or {}).get("requestId", ""))
            if task is not None:
                task.cancel()

    def _request(self, message: JsonObject, era: Era, session: Session, connection: Connection) -> Request:
        params = message.get("params") or {}
        return Request(message["id"], message["method"], params, era, session, connection.event, connection.raw)

    async def _answer(self, request: Request, connection: Connection) -> None:
        try:
            answer = result(request.id, await self._server.answer(request))
            status = 200
        except RpcError as error:
            answer = failure(request.id, error.error)
            status = STATUS.get(error.error["code"], 200) if request.era == "modern" else 200
        except Withheld:
            await connection.end()
            return
        await connection.reply(status, answer)


async def serve(server: OddServer, port: int) -> None:
    """Serve on 127.0.0.1 until cancelled; the URL goes to standard output once it listens."""
    http = Http(server)
    listener = await asyncio.start_server(http.serve, "127.0.0.1", port, limit=64 * 2**20)
    host, bound = listener.sockets[0].getsockname()[:2]
    print(f"http://{host}:{bound}{PATH}", flush=True)
    async with listener:
        await listener.serve_forever()
