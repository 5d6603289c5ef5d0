"""The one file that touches what the SDK keeps private or calls provisional, on the serving side.

`Server.middleware` is provisional (it may change in a minor release); it is used because it alone passes raw results.
Private are the two channels of a `ServerSession` (the public senders serialise typed models and would drop unknown
members), and what the session manager knows of idle sessions. `tests/server/test_sdk_contract.py` holds what is relied
on here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from pydantic import ConfigDict

from shim import jsontext
from shim.model import Json, JsonObject

Context: TypeAlias = ServerRequestContext[Any, Any]
Middleware: TypeAlias = ServerMiddleware[Any]
SessionManager: TypeAlias = StreamableHTTPSessionManager
Reading: TypeAlias = MemoryObjectReceiveStream[SessionMessage | Exception]
Writing: TypeAlias = MemoryObjectSendStream[SessionMessage]

__all__ = [
    "CallNext",
    "Connection",
    "Context",
    "HandlerResult",
    "JSONRPCError",
    "JSONRPCRequest",
    "MCPError",
    "Server",
    "SessionManager",
    "SessionMessage",
    "answer",
    "ask",
    "connection_of",
    "discard",
    "encoded",
    "error",
    "held",
    "incoming",
    "incoming_answer",
    "notify",
    "owner",
    "raw_server",
    "serve_streams",
    "session_manager",
]


def raw_server(name: str, version: str, middleware: Middleware) -> Server[Any]:
    """A server of both eras that answers through `middleware` alone.

    `get_tool_input_schema` always answers None: asked before anything knows the caller, it would tell a hidden tool
    from one that does not exist.
    """
    server: Server[Any] = Server(name, version=version, get_tool_input_schema=lambda _: None)
    server.middleware = [middleware]
    return server


def session_manager(server: Server[Any], *, max_request: int, max_sessions: int, idle: float) -> SessionManager:
    """What keeps the sessions of legacy clients over HTTP."""
    return StreamableHTTPSessionManager(
        server, max_request_body_size=max_request, max_sessions=max_sessions, session_idle_timeout=idle
    )


@contextmanager
def held(manager: SessionManager, session_id: str) -> Iterator[bool]:
    """Keep a session from ending for idleness, as a request in flight does; False where it is ending already.

    The manager counts only what it serves itself; the streams of notices are ours.
    """
    transport = manager._server_instances.get(session_id)
    if transport is None or transport.is_terminated:
        yield False
        return
    scope, idle = transport.idle_scope, transport._idle_timeout
    if scope is None or idle is None:
        yield True
        return
    if scope.cancel_called:
        yield False
        return
    transport._requests_in_flight += 1
    scope.deadline = math.inf
    try:
        yield True
    finally:
        transport._requests_in_flight -= 1
        if not transport._requests_in_flight:
            scope.deadline = anyio.current_time() + idle


async def discard(manager: SessionManager, session_id: str) -> None:
    """End a session, if it is there. The manager keeps one whose handshake was answered with an error in a stream."""
    transport = manager._server_instances.get(session_id)
    if transport is not None:
        await manager._discard_session(session_id, transport)


def owner(identity: str) -> AuthenticatedUser:
    """The `scope["user"]` that binds a session to the identity that opened it, whichever of its tokens it shows."""
    return AuthenticatedUser(AccessToken(token="", client_id=identity, scopes=[]))


def connection_of(context: Context) -> Connection:
    """The connection that a request came on: state of its own, an exit stack, a session id, a channel for notices."""
    return context.session._connection


async def notify(context: Context, method: str, params: JsonObject) -> None:
    """A notification on the stream of the request it belongs to, exactly as given."""
    await context.session._request_outbound.notify(method, params)


async def ask(context: Context, method: str, params: JsonObject | None) -> JsonObject:
    """A request to the client on the stream of the request it belongs to: the whole message that answers it.

    The params are sent as given. Cancelling tells the client. Raises MCPError where the client cannot be reached.
    """
    result = await context.session._request_outbound.send_raw_request(method, params)
    return jsontext.parse_object(result[_ANSWER].encode())


_ANSWER = "message"


def answer(id_: str | int | None, message: JsonObject) -> JsonObject:
    """What the server is shown of a client's answer: which it is, and for `ask` the message as text that it passes on.

    The server would refuse or change what the strict reader has let through.
    """
    return {"jsonrpc": "2.0", "id": id_, "result": {_ANSWER: jsontext.dump(message).decode()}}


class _Fault(ErrorData):
    """An error object with the members that its sender gave it, no more and no fewer."""

    model_config = ConfigDict(extra="allow")


def error(fault: JsonObject) -> MCPError:
    """What a middleware raises for a JSON-RPC error. `encoded` has all of it, the SDK's writers what they know."""
    raised = MCPError(fault["code"], fault["message"], fault.get("data"))
    # The constructor cannot tell `data: null` from no data.
    raised.error = _Fault.model_construct(**fault)
    return raised


def incoming(id_: str | int | None, method: str, params: JsonObject | None, context: object) -> SessionMessage:
    """A message for a stream that a server reads; `context` comes back as the request context's `request`."""
    metadata = ServerMessageMetadata(request_context=context)
    if id_ is None:
        notification = JSONRPCNotification.model_construct(jsonrpc="2.0", method=method, params=params)
        return SessionMessage(notification, metadata=metadata)
    # Not validated again: the strict reader has done that, and the model refuses text that JSON may hold.
    request = JSONRPCRequest.model_construct(jsonrpc="2.0", id=id_, method=method, params=params)
    return SessionMessage(request, metadata=metadata)


def incoming_answer(id_: str | int | None, message: JsonObject) -> SessionMessage:
    """A client's answer for a stream that a server reads."""
    return SessionMessage(JSONRPCResponse.model_construct(**answer(id_, message)))


def encoded(message: SessionMessage) -> JsonObject:
    """The JSON-RPC object of a message that a server wrote, its result untouched."""
    body = message.message
    envelope: dict[str, Json] = {"jsonrpc": "2.0"}
    if isinstance(body, JSONRPCResponse):
        envelope |= {"id": body.id, "result": body.result}
    elif isinstance(body, JSONRPCError):
        envelope |= {"id": body.id, "error": body.error.model_dump(exclude_unset=True)}
    else:
        if isinstance(body, JSONRPCRequest):
            envelope["id"] = body.id
        envelope["method"] = body.method
        if body.params is not None:
            envelope["params"] = body.params
    return envelope


async def serve_streams(server: Server[Any], reading: Reading, writing: Writing) -> None:
    """Serve one connection in the era of its first request, until `reading` ends."""
    await server.run(reading, writing, server.create_initialization_options())


def streams() -> tuple[
    MemoryObjectSendStream[SessionMessage | Exception], Reading, Writing, MemoryObjectReceiveStream[SessionMessage]
]:
    """The two pairs between a transport and a server: (to the server, read by it, written by it, from it)."""
    to_server, reading = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    writing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    return to_server, reading, writing, from_server
