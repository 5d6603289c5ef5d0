"""Sessions of legacy clients over HTTP (revisions up to 2025-11-25), kept by the SDK's session manager.

A session belongs to the identity that opened it; to another it does not exist. The SDK gets a body that says no more
than it needs to route the message: what the strict reader read goes along beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import TypeAlias

import anyio
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST

from shim import jsontext
from shim.errors import ProtocolError
from shim.generation import Sender
from shim.methods import METHODS, SUBSCRIBE
from shim.model import Caller, Client, Credential, JsonObject
from shim.server import _sdk
from shim.server.authentication import seconds_left
from shim.server.bell import Bell
from shim.server.exchange import Event, Exchange, Receive, Scope, Send, encode_error
from shim.server.face import Face
from shim.server.headers import Headers, accepts
from shim.server.message import Message, client_of
from shim.server.middleware import Origin, SdkMiddleware
from shim.server.protected import Demand, Fields
from shim.server.replay import Replays, Track
from shim.server.sessions import NOTICES, Session, Sessions, stream_of
from shim.server.shapes import error_object
from shim.server.stream import again, is_primed, notices
from shim.server.tracked import Tracked

_SESSION = b"mcp-session-id"
_LAST = b"last-event-id"
_VERSION = b"mcp-protocol-version"
_NO_SESSION = encode_error(None, error_object(INVALID_REQUEST, "Session not found"))
PURGE_SECONDS = 15.0
"""How often what is no longer to be kept of streams that ended is looked for."""
SESSIONS_PER_IDENTITY = 1000

Refusal: TypeAlias = Callable[[], tuple[int, bytes, Fields] | None]
"""The response (status, body, more header fields) that takes the place of the one under way; None: that stands."""


class LegacyFace:
    """Hands messages of legacy clients to their sessions. Enter `running` first."""

    def __init__(
        self, face: Face, max_request: int, *, max_sessions: int, idle: float, ping: float, demand: Demand
    ) -> None:
        self._face = face
        self._demand = demand
        self._ping = ping
        self._replays = Replays(monotonic)
        self._sessions = Sessions(face.current, self._ended)
        self._middleware = SdkMiddleware(face, self._sessions)
        self._most = min(max_sessions, SESSIONS_PER_IDENTITY)
        server = _sdk.raw_server(face.name, face.version, self._middleware)
        # A client's answer is wrapped in text, in which every quote takes two bytes.
        most = 2 * max_request + 1024
        self._manager = _sdk.session_manager(server, max_request=most, max_sessions=max_sessions, idle=idle)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the sessions; leaving cancels what still runs in them."""
        async with self._manager.run(), anyio.create_task_group() as group:
            group.start_soon(self._sessions.announce)
            group.start_soon(self._purge)
            yield
            group.cancel_scope.cancel()

    @property
    def sessions(self) -> int:
        """How many are open."""
        return len(self._sessions)

    @property
    def kept(self) -> int:
        """Of how many streams something is kept that may be asked for again."""
        return len(self._replays)

    def abandon(self) -> None:
        """Cancel every call that still runs."""
        self._middleware.abandon()

    async def post(self, exchange: Exchange, sender: Sender, address: str | None, message: Message) -> None:
        """Answer one message, or open a session with it."""
        fault = self._fault(exchange.headers, sender.credential, message)
        if fault is not None:
            status, error = fault
            client = client_of(message.params.get("clientInfo"))
            caller = _caller(exchange, sender, address, client)
            await sender.generation.gateway.refuse(caller, message.method, error)
            await exchange.plain(status, encode_error(message.id, error_object(error.code, str(error))))
            return
        if await self._through(exchange, Origin(sender, "http", address, None, message)) == 404:
            await self._no_session(exchange, sender, address, message.method)

    async def _through(self, exchange: Exchange, origin: Origin) -> int | None:
        """Have a message answered by its session, if there is one; the status of the answer."""
        message, credential = origin.message, origin.sender.credential
        exchange.started = True
        body, scope = jsontext.dump(_routing(message)), _session_scope(exchange, credential, origin)
        session = self._sessions.named(exchange.headers.text(_SESSION), credential.identity.name)
        # A token that carries scopes may lack some, which is a status: that must not be sent before it is known.
        holds = message.method in (*METHODS, SUBSCRIBE.name) and credential.scopes is not None
        sending = _Sending(exchange.send, self._refusal(message, origin) if holds else None)
        if session is None or message.id is None:
            await self._manager.handle_request(scope, _replayed(body, exchange.receive), sending)
            opened = sending.session if message.method == "initialize" else None
            if opened is not None and self._sessions.named(opened, credential.identity.name) is None:
                # Its handshake was refused: it would take a place that nobody counts until it is idle for long enough.
                await _sdk.discard(self._manager, opened)
            return sending.status
        primed = is_primed(exchange.headers.text(_VERSION)) and not holds
        stream = stream_of(message.id)
        with Tracked(exchange, sending, session, self._replays, stream, primed=primed) as tracked:
            await self._manager.handle_request(scope, _replayed(body, tracked.receive), tracked.send)
        return sending.status

    def _refusal(self, message: Message, origin: Origin) -> Refusal:
        def refusal() -> tuple[int, bytes, Fields] | None:
            step_up = origin.step_up
            if not step_up.scopes:
                return None
            return 403, encode_error(message.id, step_up.error), self._demand(step_up.scopes)

        return refusal

    async def _no_session(self, exchange: Exchange, sender: Sender, address: str | None, method: str | None) -> None:
        """Put on the record that an identity named a session that it does not have: ended, invented, or another's."""
        caller = _caller(exchange, sender, address, None)
        await sender.generation.gateway.refuse(caller, method, ProtocolError(INVALID_REQUEST, "Session not found"))

    def _fault(self, headers: Headers, credential: Credential, message: Message) -> tuple[int, ProtocolError] | None:
        if _SESSION in headers.repeated:
            return 400, ProtocolError(INVALID_REQUEST, "Bad Request: more than one session ID")
        if message.method != "initialize":
            if _SESSION not in headers:
                return 400, ProtocolError(INVALID_REQUEST, "Bad Request: Missing session ID")
            # The id of an answer is one of the server's own.
            own = message.id if message.method is not None else None
            if own is not None and self._middleware.is_running(headers.text(_SESSION), own):
                return 400, ProtocolError(INVALID_REQUEST, "Invalid Request: this id is in use")
        elif self._sessions.count(credential.identity.name) >= self._most:
            return 503, ProtocolError(INTERNAL_ERROR, "Too many open sessions")
        return None

    async def stream(self, exchange: Exchange, sender: Sender, address: str | None) -> None:
        """A session's stream of the server's own messages (GET), or what another of its streams still had to say.

        It ends when its owner is nobody any more, and when another takes its place.
        """
        headers, bell = exchange.headers, Bell()
        if _SESSION in headers.repeated or _LAST in headers.repeated:
            await exchange.early(400)
            return
        session = self._sessions.named(headers.text(_SESSION), sender.credential.identity.name)
        if session is None or session.id is None:
            await self._no_session(exchange, sender, address, None)
            await exchange.early(404, _NO_SESSION)
            return
        if not accepts(headers.text(b"accept"))[1]:
            await exchange.early(406)
            return
        last = headers.text(_LAST)
        place = (NOTICES, session.outbox.told) if last is None else session.event(last)
        track = None if place is None else self._replays.find(session.token, place[0])
        if place is None or (place[1] > session.outbox.last if place[0] == NOTICES else not _is_kept(track, place[1])):
            await self._unknown_event(exchange, sender, address)
            return

        def pause() -> float:
            # Nobody rings when a token ends: a stream does not outlive it.
            return min(self._ping, seconds_left(sender.credential))

        def over() -> bool:
            return self._face.closing.begun or not self._face.current.knows(sender.prove)

        ends = (self._face.closing.watch(bell.ring), self._face.current.watch(bell.ring))
        try:
            with _sdk.held(self._manager, session.id):
                if track is None:
                    await notices(exchange, session, place[1], bell, over, self._ping, pause)
                else:
                    await again(exchange, session, track, place[1], bell, over, self._ping, pause)
        finally:
            for end in ends:
                end()

    async def delete(self, exchange: Exchange, sender: Sender, address: str | None) -> None:
        """The end of a session, by its owner."""
        if _SESSION in exchange.headers.repeated:
            await exchange.early(400)
            return
        exchange.started = True
        sending = _Sending(exchange.send)
        scope = _session_scope(exchange, sender.credential, None)
        await self._manager.handle_request(scope, exchange.receive, sending)
        if sending.status == 404:
            await self._no_session(exchange, sender, address, None)

    async def _unknown_event(self, exchange: Exchange, sender: Sender, address: str | None) -> None:
        """Answer for an event that is not kept, or never was one of this session: the two are not told apart."""
        error = ProtocolError(
            INVALID_REQUEST, "Bad Request: nothing is kept after this event; open the stream without Last-Event-ID"
        )
        await sender.generation.gateway.refuse(_caller(exchange, sender, address, None), None, error)
        await exchange.early(400, encode_error(None, error_object(error.code, str(error))))

    def _ended(self, session: Session) -> None:
        self._replays.forget(session.token)

    async def _purge(self) -> None:
        while True:
            await anyio.sleep(PURGE_SECONDS)
            self._replays.purge()


def _is_kept(track: Track | None, number: int) -> bool:
    return track is not None and track.after(number) is not None


class _Sending:
    """Passes a response on, and tells its status.

    With a `refusal` its beginning waits for the first piece of its body; is there one by then, it is sent instead.
    """

    def __init__(self, send: Send, refusal: Refusal | None = None) -> None:
        self._send = send
        self._refusal = refusal
        self._held: Event | None = None
        self._replaced = False
        self.status: int | None = None
        self.session: str | None = None
        """The session that the response names."""

    async def __call__(self, event: Event) -> None:
        begins = event["type"] == "http.response.start"
        if begins:
            self.status = event["status"]
            self.session = next((value.decode() for name, value in event["headers"] if name == _SESSION), None)
        if begins and self._refusal is not None:
            self._held = event
            return
        if self._held is not None:
            held, self._held = self._held, None
            refused = self._refusal() if self._refusal is not None else None
            if refused is not None:
                await self._replace(*refused)
            else:
                await self._send(held)
        if not self._replaced:
            await self._send(event)

    async def _replace(self, status: int, body: bytes, fields: Fields) -> None:
        self._replaced, self.status = True, status
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *fields]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _caller(exchange: Exchange, sender: Sender, address: str | None, client: Client | None) -> Caller:
    protocol = exchange.headers.text(b"mcp-protocol-version") or ""
    return Caller(sender.credential, "http", protocol, client, address)


def _session_scope(exchange: Exchange, credential: Credential, origin: Origin | None) -> Scope:
    # The headers as they were when they were checked: trailers of a chunked body must not join them afterwards.
    user = _sdk.owner(credential.identity.name)
    return {**exchange.scope, "headers": list(exchange.headers.raw), "user": user, "shim.origin": origin}


def _routing(message: Message) -> JsonObject:
    """The message without what the SDK has no use for."""
    body: JsonObject = {"jsonrpc": "2.0"}
    if message.id is not None:
        body["id"] = message.id
    if message.method is None:
        return _sdk.answer(message.id, message.raw)
    body["method"] = message.method
    if message.method == "initialize":
        body["params"] = message.params
    elif message.method == "notifications/cancelled":
        body["params"] = {"requestId": message.params.get("requestId")}
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    pending: list[Event] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Event:
        return pending.pop() if pending else await receive()

    return again
