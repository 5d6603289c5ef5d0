"""What answers the requests that come through the SDK's server: legacy sessions, and both eras over stdio.

The SDK keeps the framing, the handshake and cancellation; everything that a client is told comes from here, as it is.
Params are those that the strict reader read: the SDK itself is shown only what it needs to route.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import anyio
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    LOG_LEVEL_META_KEY,
    METHOD_NOT_FOUND,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from shim.errors import ProtocolError, RecordUnavailable, Unanswered
from shim.generation import Sender
from shim.methods import METHODS, SUBSCRIBE
from shim.model import Answer, Caller, JsonObject, Question, Response, Transport
from shim.server import _sdk
from shim.server.beside import Beside
from shim.server.face import LISTS, Face, log_level
from shim.server.message import (
    PROGRESS_TOKEN,
    Message,
    RequestId,
    capabilities_of,
    check_client_info,
    client_of,
    trace_of,
)
from shim.server.notices import LEVELS, Notices
from shim.server.request import Request
from shim.server.sessions import DELIVERY_SECONDS, Session, Sessions
from shim.server.shapes import CACHED, encodable, error_object, error_of, legacy_result, modern_result, private
from shim.taskmethods import MODERN_METHODS

_log = logging.getLogger("shim.server")

UNSUBSCRIBE = "resources/unsubscribe"


@dataclass(slots=True)
class StepUp:
    """What the transport is to say instead of an answer: the scopes that a token needs, and the JSON-RPC error."""

    scopes: tuple[str, ...] = ()
    error: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, and the message as the strict reader read it."""

    sender: Sender
    transport: Transport
    address: str | None
    session: str | None
    message: Message
    step_up: StepUp = field(default_factory=StepUp)


class SdkMiddleware:
    """The middleware. Owns which requests run."""

    def __init__(self, face: Face, sessions: Sessions) -> None:
        self._face = face
        self._sessions = sessions
        self._running: set[anyio.CancelScope] = set()
        self._ids: set[tuple[str | None, str]] = set()

    def abandon(self) -> None:
        """Cancel every call that still runs, each of which then records its end."""
        for scope in tuple(self._running):
            scope.cancel()

    def is_running(self, session: str | None, id_: RequestId) -> bool:
        """Whether a session has a request with this id that is not answered yet.

        The SDK tells requests apart by their ids as text, so 7 and "7" are one; a second would take the first's stream.
        """
        return (session, str(id_)) in self._ids

    async def __call__(self, ctx: _sdk.Context, call_next: _sdk.CallNext) -> _sdk.HandlerResult:
        if ctx.request_id is None:
            return await call_next(ctx)
        origin = _origin(ctx)
        caller = self._caller(ctx, origin)
        running = (caller.session, str(ctx.request_id))
        self._ids.add(running)
        try:
            result = await self._answer(ctx, call_next, caller, origin)
        except ProtocolError as error:
            if error.code != METHOD_NOT_FOUND:
                await origin.sender.generation.gateway.refuse(caller, ctx.method, error)
            raise _sdk.error(encodable(error_of(error))) from None
        except RecordUnavailable as error:
            raise _sdk.error(error_of(error)) from None
        except _sdk.MCPError:
            raise
        except Exception:  # noqa: BLE001 (the boundary of a request)
            # What else is raised would be sent to the client by the SDK as it stands.
            _log.exception("a request failed")
            raise _sdk.error(error_object(INTERNAL_ERROR, "Internal error")) from None
        finally:
            # Before the answer is written: whoever has it may use the id again.
            self._ids.discard(running)
        return encodable(result) if origin.transport == "http" else result

    def _caller(self, context: _sdk.Context, origin: Origin) -> Caller:
        message = origin.message
        if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            client = client_of(message.meta.get(CLIENT_INFO_META_KEY))
            declared = capabilities_of(message.meta.get(CLIENT_CAPABILITIES_META_KEY))
        elif context.method == "initialize":
            client = client_of(message.params.get("clientInfo"))
            declared = capabilities_of(message.params.get("capabilities"))
        else:
            session = self._sessions.of(_sdk.connection_of(context))
            client = session.client if session is not None else None
            declared = session.capabilities if session is not None else {}
        return Caller(
            origin.sender.credential,
            origin.transport,
            context.protocol_version,
            client,
            origin.address,
            origin.session or _sdk.connection_of(context).session_id,
            trace_of(message.meta),
            declared,
        )

    async def _answer(
        self, context: _sdk.Context, call_next: _sdk.CallNext, caller: Caller, origin: Origin
    ) -> JsonObject:
        if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return await self._modern(context, _request(context, caller, origin))
        if context.method == "initialize":
            return await self._initialize(context, call_next, caller, origin)
        if context.method == "ping":
            return {}
        if context.method not in (*METHODS, *LISTS, SUBSCRIBE.name, UNSUBSCRIBE, "logging/setLevel"):
            raise ProtocolError(METHOD_NOT_FOUND, "Method not found", context.method)
        connection = _sdk.connection_of(context)
        session = self._sessions.of(connection)
        if session is None or not connection.initialize_accepted:
            raise ProtocolError(INVALID_PARAMS, "Invalid request parameters: the session is not initialized")
        # Who refreshed a token may have other claims by now.
        session.identity = caller.identity
        request = _request(context, caller, origin, session)
        if context.method in LISTS:
            listing = await self._face.listing(request, context.method)
            return {LISTS[context.method][0]: list(listing.definitions)}
        if context.method == SUBSCRIBE.name:
            return legacy_result(self._result(caller, await session.watched.subscribe(request), origin.step_up))
        if context.method == UNSUBSCRIBE:
            session.unsubscribe(request.message.params)
            return {}
        if context.method == "logging/setLevel":
            level = request.message.params.get("level")
            if level not in LEVELS:
                raise ProtocolError(INVALID_PARAMS, "Invalid params: unknown log level")
            session.level = level
            return {}
        return legacy_result(await self._call(request, context.method, session.level, origin.step_up))

    async def _modern(self, context: _sdk.Context, request: Request) -> JsonObject:
        if context.method == "server/discover":
            return self._face.discover(request.sender)
        if context.method in LISTS:
            return self._face.modern_list(context.method, await self._face.listing(request, context.method))
        if context.method in MODERN_METHODS:
            result = await self._call(request, context.method, log_level(request.message), StepUp())
            return modern_result(private(result) if context.method in CACHED else result, self._face.info)
        if context.method == "subscriptions/listen":
            return await self._face.listen(request)
        raise ProtocolError(METHOD_NOT_FOUND, "Method not found", context.method)

    async def _initialize(
        self, context: _sdk.Context, call_next: _sdk.CallNext, caller: Caller, origin: Origin
    ) -> JsonObject:
        check_client_info(origin.message.params.get("clientInfo"))
        try:
            result = await call_next(context)
        except ValidationError:
            raise ProtocolError(INVALID_PARAMS, "Invalid request parameters") from None
        if not isinstance(result, dict):
            raise TypeError("the handshake's result is not an object")
        self._sessions.open(_sdk.connection_of(context), caller.identity, caller.client, caller.capabilities)
        return {**result, **self._face.about(origin.sender, context.protocol_version), "serverInfo": self._face.info}

    async def _call(self, request: Request, method: str, level: str | None, step_up: StepUp) -> JsonObject:
        caller, message, answer = request.caller, request.message, Answer()
        async with Beside() as beside:
            with anyio.CancelScope() as scope:
                self._running.add(scope)
                try:
                    notices = Notices(
                        beside.start,
                        request.deliver,
                        token=message.meta.get(PROGRESS_TOKEN),
                        level=level if request.ask is None else level or LEVELS[0],
                        ask=request.ask,
                        aside=request.aside,
                    )
                    if request.ask is None:
                        answer = await self._face.call(request, MODERN_METHODS[method], notices)
                    else:
                        params = _at_level(level, message)
                        answer = await request.gateway.call(caller, METHODS[method], params, notices)
                    with anyio.move_on_after(DELIVERY_SECONDS):
                        await notices.close()
                finally:
                    self._running.discard(scope)
        return self._result(caller, answer, step_up)

    def _result(self, caller: Caller, answer: Answer, step_up: StepUp) -> JsonObject:
        if answer.result is None:
            fault = answer.error or error_object(INTERNAL_ERROR, "Internal error")
            step_up.scopes, step_up.error = answer.scopes, fault
            raise _sdk.error(encodable(fault) if caller.transport == "http" else fault)
        return answer.result


def _at_level(level: str | None, message: Message) -> JsonObject:
    """A legacy client's params with the level that its session was set to, as a modern client would have said it."""
    if level is None:
        return message.params
    return {**message.params, "_meta": {**message.meta, LOG_LEVEL_META_KEY: level}}


def _request(context: _sdk.Context, caller: Caller, origin: Origin, session: Session | None = None) -> Request:
    def sendable(params: JsonObject) -> JsonObject:
        return encodable(params) if caller.transport == "http" else params

    async def deliver(method: str, params: JsonObject) -> None:
        await _sdk.notify(context, method, sendable(params))

    async def ask(question: Question) -> Response:
        params = sendable(question.params) if "params" in question.request else None
        try:
            answer = await _sdk.ask(context, question.method, params)
        except _sdk.MCPError:
            raise Unanswered("the client is gone") from None
        result, error = answer.get("result"), answer.get("error")
        if isinstance(result, dict):
            return Response(result)
        if isinstance(error, dict) and type(error.get("code")) is int and isinstance(error.get("message"), str):
            return Response(error=error)
        raise Unanswered("the client sent an answer that is none")

    async def aside(method: str, params: JsonObject) -> None:
        if session is not None:
            session.outbox.put((method, str(params.get("elicitationId"))), method, params)

    # Its own id, as it was sent: the SDK's is text.
    id_ = origin.message.id if origin.message.id is not None else str(context.request_id)
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return Request(id_, origin.sender, caller, origin.message, deliver)
    return Request(id_, origin.sender, caller, origin.message, deliver, ask, aside)


def _origin(context: _sdk.Context) -> Origin:
    """What the transport handed along: over stdio the origin itself, over HTTP the request whose scope holds it."""
    request = context.request
    origin = getattr(request, "scope", {}).get("shim.origin") if not isinstance(request, Origin) else request
    if not isinstance(origin, Origin):
        raise TypeError("a request without an origin")
    return origin
