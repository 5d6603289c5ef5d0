"""The HTTP face: what is asked of a request before anyone looks at what it says, and which face then answers it.

In this order: Host, path, Origin, credential, media types, size, strict parsing, era. A body is not read before its
sender is known.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST, PROTOCOL_VERSION_META_KEY
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from shim import jsontext
from shim.errors import ProtocolError, Unauthenticated
from shim.generation import Sender
from shim.model import Caller
from shim.server.authentication import AuthRefused, authenticate, prepare
from shim.server.config import ServerBlock
from shim.server.exchange import Exchange, Gone, Receive, Scope, Send, TooLarge, encode_error, read_body
from shim.server.face import Face
from shim.server.headers import Authorities, Headers, accepts, forwarded_address, is_json
from shim.server.legacy import LegacyFace
from shim.server.message import BadMessage, Message, read
from shim.server.modern import PING_SECONDS, ModernFace
from shim.server.pages import Pages
from shim.server.protected import Fields, Protected, insufficient, unauthenticated
from shim.server.shapes import error_object

_log = logging.getLogger("shim.server")

_UNKNOWN = encode_error(None, error_object(INVALID_REQUEST, "Authentication required"))
_ALLOW_POST = [(b"allow", b"POST")]
_VERSION = b"mcp-protocol-version"
_SESSION = b"mcp-session-id"


RENEW_SECONDS = 60.0
"""How often what credentials are judged by is looked at, though no request comes: streams may be open."""


class HttpFace:
    """The ASGI application. Enter `running` around serving, and name the port with `bound` before the first request."""

    def __init__(
        self,
        face: Face,
        block: ServerBlock,
        *,
        auth_refused: AuthRefused,
        ping: float = PING_SECONDS,
        max_sessions: int = 10_000,
        session_idle: float = 1800.0,
        pages: Pages | None = None,
    ) -> None:
        self._face = face
        self._pages = pages
        self._block = block
        self._auth_refused = auth_refused
        self._modern = ModernFace(face, ping=ping, demand=self._demand)
        self._legacy = LegacyFace(
            face, block.max_request, max_sessions=max_sessions, idle=session_idle, ping=ping, demand=self._demand
        )
        self._authorities = Authorities(0, url=block.url, allowed=block.allowed_hosts)
        self._protected = Protected.of(block, 0)

    @property
    def face(self) -> Face:
        return self._face

    @property
    def legacy(self) -> LegacyFace:
        """The sessions of legacy clients."""
        return self._legacy

    def bound(self, port: int) -> None:
        """Learn the port that is listened on: Host must name it."""
        self._authorities = Authorities(port, url=self._block.url, allowed=self._block.allowed_hosts)
        self._protected = Protected.of(self._block, port)
        if self._pages is not None:
            self._pages.bound(port)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the sessions of legacy clients and the calls that wait for modern ones; leaving ends them."""
        async with self._legacy.running(), self._face.holding.running(), anyio.create_task_group() as group:
            group.start_soon(self._renew)
            yield
            group.cancel_scope.cancel()

    async def _renew(self) -> None:
        while True:
            await anyio.sleep(RENEW_SECONDS)
            try:
                await self._face.current.now.authenticator.renew()
            except Exception:  # noqa: BLE001 (the boundary of a background task: the server does not fall with it)
                _log.exception("what credentials are judged by could not be looked at again")

    def abandon(self) -> None:
        """Cancel what still runs; every call records its end."""
        self._modern.abandon()
        self._legacy.abandon()
        self._face.holding.abandon()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._respond(exchange)
        except Exception:  # noqa: BLE001 (the boundary of a request: it answers, logs, and the process lives on)
            _log.exception("a request failed")
            if not exchange.started:
                body = encode_error(None, error_object(INTERNAL_ERROR, "Internal error"))
                await exchange.plain(500, body, [(b"connection", b"close")])

    async def _respond(self, exchange: Exchange) -> None:
        host = exchange.headers.get(b"host")
        if host is None or b"host" in exchange.headers.repeated:
            await exchange.early(400)
            return
        if not self._authorities.host(host):
            await exchange.early(421)
            return
        path = exchange.scope["raw_path"]
        if path == b"/mcp":
            await self._mcp(exchange)
        elif path in (b"/healthz", b"/readyz"):
            await self._health(exchange, path)
        elif self._protected is not None and self._protected.is_metadata(path):
            await self._metadata(exchange, self._protected)
        elif self._pages is not None and self._pages.has(path):
            await self._pages.respond(exchange, self._address(exchange))
        else:
            await exchange.early(404)

    async def _health(self, exchange: Exchange, path: bytes) -> None:
        if exchange.scope["method"] not in ("GET", "HEAD"):
            await exchange.early(405, headers=[(b"allow", b"GET, HEAD")])
            return
        ready, upstreams = (True, None) if path == b"/healthz" else await self._face.current.now.ready()
        body = {"ok": True} if upstreams is None else {"ready": ready, "upstreams": upstreams}
        await exchange.plain(200 if ready else 503, jsontext.dump(body), [(b"cache-control", b"no-store")])

    async def _metadata(self, exchange: Exchange, protected: Protected) -> None:
        if exchange.scope["method"] not in ("GET", "HEAD"):
            await exchange.early(405, headers=[(b"allow", b"GET, HEAD")])
            return
        page = protected.metadata(self._face.current.now.scopes)
        await exchange.plain(200, page, [(b"cache-control", b"no-store")])

    def _demand(self, scopes: Sequence[str]) -> Fields:
        return insufficient(self._protected, scopes)

    def _challenge(self, exchange: Exchange) -> Fields:
        sent = b"authorization" in exchange.headers
        return unauthenticated(self._protected, self._face.current.now.scopes, sent=sent)

    async def _mcp(self, exchange: Exchange) -> None:
        headers = exchange.headers
        origin = headers.get(b"origin")
        if origin is not None and (b"origin" in headers.repeated or not self._authorities.origin(origin)):
            await exchange.early(403)
            return
        address = self._address(exchange)
        await prepare(headers, self._face.current.now.authenticator)
        try:
            sender = self._face.current.sender(partial(authenticate, headers))
        except Unauthenticated as error:
            self._auth_refused(address, error.why)
            await exchange.early(401, _UNKNOWN, self._challenge(exchange))
            return
        method = exchange.scope["method"]
        if method == "POST":
            await self._post(exchange, sender, address)
        elif method in ("GET", "DELETE") and _SESSION in headers and not _is_modern(headers):
            await (self._legacy.stream if method == "GET" else self._legacy.delete)(exchange, sender, address)
        else:
            await exchange.early(405, headers=_ALLOW_POST)

    def _address(self, exchange: Exchange) -> str | None:
        if self._block.behind_proxy:
            forwarded = forwarded_address(exchange.headers)
            if forwarded is not None:
                return forwarded
        client = exchange.scope.get("client")
        return client[0] if client else None

    async def _post(self, exchange: Exchange, sender: Sender, address: str | None) -> None:
        try:
            self._check_media(exchange.headers)
            message = read(await self._body(exchange))
        except (_Unread, BadMessage, Gone) as error:
            caller = Caller(sender.credential, "http", exchange.headers.text(_VERSION) or "", None, address)
            await self._refuse(exchange, sender, caller, error)
            return
        if sender.generation is not self._face.current.now:
            # Whoever sends slowly does not stay with what was in force when they began.
            try:
                sender = self._face.current.sender(sender.prove)
            except Unauthenticated as error:
                self._auth_refused(address, error.why)
                await exchange.plain(401, _UNKNOWN, self._challenge(exchange))
                return
        if _is_modern(exchange.headers, message):
            await self._modern.handle(exchange, sender, address, message)
        else:
            await self._legacy.post(exchange, sender, address, message)

    def _check_media(self, headers: Headers) -> None:
        if b"content-type" in headers.repeated or not is_json(headers.text(b"content-type")):
            raise _Unread(415, "Content-Type must be application/json, in UTF-8")
        if accepts(headers.text(b"accept")) != (True, True):
            raise _Unread(406, "Accept must list both application/json and text/event-stream")

    async def _body(self, exchange: Exchange) -> bytes:
        bound = self._block.max_request
        declared = exchange.headers.get(b"content-length")
        too_large = _Unread(413, f"the body is larger than {bound} bytes")
        if declared is not None and declared.isdigit() and int(declared) > bound:
            raise too_large
        try:
            return await read_body(exchange.receive, bound)
        except TooLarge:
            raise too_large from None

    async def _refuse(
        self, exchange: Exchange, sender: Sender, caller: Caller, error: _Unread | BadMessage | Gone
    ) -> None:
        gateway = sender.generation.gateway
        if isinstance(error, Gone):
            await gateway.refuse(caller, None, ProtocolError(INVALID_REQUEST, "the body did not arrive"))
        elif isinstance(error, BadMessage):
            await gateway.refuse(caller, error.method, error)
            await exchange.plain(400, encode_error(error.id, error_object(error.code, str(error))))
        else:
            refusal = ProtocolError(INVALID_REQUEST, f"Invalid Request: {error}")
            await gateway.refuse(caller, None, refusal)
            await exchange.early(error.status, encode_error(None, error_object(refusal.code, str(refusal))))


class _Unread(Exception):
    """A request that is refused before all of its body is read, with its HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def _is_modern(headers: Headers, message: Message | None = None) -> bool:
    """The era of a request: by its version header, as both revisions say; a modern body without one is no legacy one.

    `initialize` exists in earlier revisions alone, whatever a client puts into its `_meta`.
    """
    version = headers.text(_VERSION)
    if version is not None and (version not in HANDSHAKE_PROTOCOL_VERSIONS or _VERSION in headers.repeated):
        return True
    return message is not None and PROTOCOL_VERSION_META_KEY in message.meta and message.method != "initialize"
