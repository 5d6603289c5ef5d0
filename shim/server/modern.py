"""The modern face over HTTP: revision 2026-07-28, stateless, one POST a request, raw results.

Headers that mirror the body are compared with it at once, save `Mcp-Param-*`: which of those a tool declares is known
only to callers that may see the tool, so they are compared after that is settled, and a hidden tool answers as an
unknown one does.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import anyio
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    X_MCP_HEADER_KEY,
    InboundLadderRejection,
    classify_inbound_request,
    decode_header_value,
    find_invalid_x_mcp_header,
    unsupported_protocol_version_rejection,
    validate_mcp_param_headers,
    x_mcp_header_map,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PROTOCOL_VERSION_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from mcp_types.version import LATEST_MODERN_VERSION
from starlette.datastructures import Headers as ParameterHeaders

from shim import jsontext
from shim.errors import ProtocolError, RecordUnavailable
from shim.extensions import NAMED
from shim.generation import Sender
from shim.model import Answer, Caller, JsonObject, Offered, Tool
from shim.server.beside import Beside
from shim.server.exchange import Exchange, encode_error, encode_result
from shim.server.face import LISTS, Face, log_level
from shim.server.headers import Headers
from shim.server.message import PROGRESS_TOKEN, Message, capabilities_of, client_of, trace_of
from shim.server.notices import Notices
from shim.server.protected import Demand
from shim.server.request import Request
from shim.server.shapes import CACHED, error_object, error_of, modern_result, private
from shim.taskmethods import MODERN_METHODS
from shim.views import Listing

PING_SECONDS = 15.0
"""After how long a silent response becomes an event stream, and how often that is pinged."""

WATCH_SECONDS = 0.05
"""How long a call runs before anyone looks whether its client is still there: most have ended by then."""

_ROUTING: Final = (b"mcp-protocol-version", b"mcp-method", b"mcp-name")
_VISIBLE = re.compile(rb"[\x20-\x7e\t]*")
_NOT_RECORDED = frozenset({METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION})
"""Errors that well-behaved clients run into while they find out what a server can do."""

_CACHED = 1024


class ModernFace:
    """Answers modern requests. Owns two small caches of what is dear to compute for each call or list."""

    def __init__(self, face: Face, *, demand: Demand, ping: float = PING_SECONDS) -> None:
        self._face = face
        self._demand = demand
        self._ping = ping
        self._annotated: dict[str, bool] = {}
        self._lists: dict[tuple[str, str], bytes] = {}
        self._running: set[anyio.CancelScope] = set()
        self._methods: dict[str, Callable[[Request, Exchange], Awaitable[None]]] = {
            **dict.fromkeys(MODERN_METHODS, self._call),
            **dict.fromkeys(LISTS, self._list),
            "server/discover": self._discover,
            "subscriptions/listen": self._listen,
        }

    def abandon(self) -> None:
        """Cancel every call and stream that still runs, each of which then records its end."""
        for scope in tuple(self._running):
            scope.cancel()

    async def handle(self, exchange: Exchange, sender: Sender, address: str | None, message: Message) -> None:
        """Answer one message of an authenticated sender."""
        protocol = exchange.headers.text(b"mcp-protocol-version") or ""
        client = client_of(message.meta.get(CLIENT_INFO_META_KEY))
        trace, declared = trace_of(message.meta), capabilities_of(message.meta.get(CLIENT_CAPABILITIES_META_KEY))
        caller = Caller(sender.credential, "http", protocol, client, address, None, trace, declared)
        try:
            await self._dispatch(exchange, sender, caller, message)
        except ProtocolError as error:
            await self._refuse(exchange, sender, caller, message, error)
        except RecordUnavailable as error:
            await exchange.answer(encode_error(message.id, error_of(error)))

    async def _dispatch(self, exchange: Exchange, sender: Sender, caller: Caller, message: Message) -> None:
        headers = exchange.headers
        for header in _ROUTING:
            if header in headers.repeated:
                raise ProtocolError(HEADER_MISMATCH, f"Header mismatch: {header.decode()} appears more than once")
        if message.method is None:
            raise ProtocolError(INVALID_REQUEST, "Invalid Request: a client sends no responses in this revision")
        if message.id is None:
            # No notification means anything here: a client cancels by closing the response (MCP, "Sending Messages").
            rejection = unsupported_protocol_version_rejection(caller.protocol)
            if rejection is not None:
                raise _rejected(rejection)
            await exchange.plain(202)
            return
        self._check(message, headers)
        method = self._methods.get(message.method)
        if method is None:
            raise ProtocolError(METHOD_NOT_FOUND, "Method not found", message.method)
        await method(Request(message.id, sender, caller, message, exchange.notify), exchange)

    async def _refuse(
        self, exchange: Exchange, sender: Sender, caller: Caller, message: Message, error: ProtocolError
    ) -> None:
        """Answer a request that is refused as it stands, and put it on the record."""
        if error.code not in _NOT_RECORDED:
            await sender.generation.gateway.refuse(caller, message.method, error)
        status = ERROR_CODE_HTTP_STATUS.get(error.code, 200)
        await exchange.answer(encode_error(message.id, error_of(error)), status)

    def _check(self, message: Message, headers: Headers) -> None:
        """Raise ProtocolError where headers and body disagree or the envelope is not whole ("Server Validation")."""
        meta, bearing = message.meta, NAMED.get(message.method or "")
        name = message.params.get(bearing) if bearing is not None else None
        sent = headers.get(b"mcp-name")
        if sent is not None and _VISIBLE.fullmatch(sent) is None:
            raise ProtocolError(HEADER_MISMATCH, "Header mismatch: mcp-name contains invalid characters")
        whole = (
            headers.text(b"mcp-protocol-version") == LATEST_MODERN_VERSION == meta.get(PROTOCOL_VERSION_META_KEY)
            and headers.text(b"mcp-method") == message.method
            and CLIENT_CAPABILITIES_META_KEY in meta
            and (name is None or decode_header_value(headers.text(b"mcp-name")) == name)
        )
        if not whole:
            verdict = classify_inbound_request(message.raw, headers=dict(headers.pairs()))
            if isinstance(verdict, InboundLadderRejection):
                raise _rejected(verdict)
            if bearing == "taskId" and isinstance(name, str):
                # What the SDK does not know of: the methods of an extension.
                raise ProtocolError(HEADER_MISMATCH, f"Header mismatch: mcp-name is not the {bearing} of the request")
        if not isinstance(meta[CLIENT_CAPABILITIES_META_KEY], dict):
            raise ProtocolError(INVALID_PARAMS, "Invalid params: clientCapabilities must be an object")

    async def _call(self, request: Request, exchange: Exchange) -> None:
        message, caller, method = request.message, request.caller, MODERN_METHODS[request.message.method or ""]
        level = log_level(message)

        def check(target: Offered) -> None:
            if isinstance(target, Tool):
                self._check_parameters(target, message.params, exchange.headers)

        async with Beside() as beside:
            with self._cancellable() as scope:
                beside.start_later(WATCH_SECONDS, exchange.watch, scope, self._ping)
                notices = Notices(beside.start, request.deliver, token=message.meta.get(PROGRESS_TOKEN), level=level)
                try:
                    answer = await self._face.call(request, method, notices, check)
                except ProtocolError as error:
                    await request.gateway.refuse(caller, message.method, error)
                    answer = Answer(error=error_of(error))
                await notices.close()
                await self._answer(request, exchange, answer)

    @contextmanager
    def _cancellable(self) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            self._running.add(scope)
            try:
                yield scope
            finally:
                self._running.discard(scope)

    async def _answer(self, request: Request, exchange: Exchange, answer: Answer) -> None:
        if answer.result is not None:
            shaped = private(answer.result) if request.message.method in CACHED else answer.result
            result = jsontext.dump(modern_result(shaped, self._face.info))
            await exchange.answer(encode_result(request.id, result))
        else:
            error = answer.error or error_object(-32603, "Internal error")
            status = 403 if answer.scopes else _status(error)
            await exchange.answer(encode_error(request.id, error), status, self._demand(answer.scopes))

    def _check_parameters(self, tool: Tool, params: JsonObject, headers: Headers) -> None:
        schema = tool.definition.get("inputSchema")
        annotated = self._annotated.get(tool.digest)
        if annotated is None:
            if len(self._annotated) >= _CACHED:
                self._annotated.clear()
            # Once for each definition: walking its schema twice at every call would cost more than all else here.
            mentioned = X_MCP_HEADER_KEY.encode() in jsontext.dump(schema)
            annotated = mentioned and find_invalid_x_mcp_header(schema) is None and bool(x_mcp_header_map(schema))
            self._annotated[tool.digest] = annotated
        if annotated:
            sent = ParameterHeaders(raw=list(headers.raw))
            rejection = validate_mcp_param_headers(schema, params.get("arguments") or {}, sent)
            if rejection is not None:
                raise _rejected(rejection)

    async def _list(self, request: Request, exchange: Exchange) -> None:
        method = request.message.method or ""
        listing = await self._face.listing(request, method)
        await exchange.answer(encode_result(request.id, self._encoded(method, listing)))

    def _encoded(self, method: str, listing: Listing) -> bytes:
        encoded = self._lists.get((method, listing.digest))
        if encoded is None:
            if len(self._lists) >= _CACHED // 8:
                self._lists.clear()
            encoded = jsontext.dump(self._face.modern_list(method, listing))
            self._lists[method, listing.digest] = encoded
        return encoded

    async def _discover(self, request: Request, exchange: Exchange) -> None:
        await exchange.answer(encode_result(request.id, jsontext.dump(self._face.discover(request.sender))))

    async def _listen(self, request: Request, exchange: Exchange) -> None:
        async with Beside() as beside:
            with self._cancellable() as scope:
                beside.start(exchange.watch, scope, self._ping)
                result = await self._face.listen(request)
                await exchange.answer(encode_result(request.id, jsontext.dump(result)))


def _rejected(rejection: InboundLadderRejection) -> ProtocolError:
    return ProtocolError(rejection.code, rejection.message, rejection.data)


def _status(error: JsonObject) -> int:
    code = error.get("code")
    return ERROR_CODE_HTTP_STATUS.get(code, 200) if isinstance(code, int) else 200
