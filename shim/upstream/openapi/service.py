"""The service itself: requests to the one origin that the configuration names, each sent once, no redirect followed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from shim.upstream.connections import Connections, NotSent, Origin
from shim.upstream.failures import fault, too_large, unavailable, unknown
from shim.upstream.openapi.answers import Response
from shim.upstream.openapi.credentials import Sent
from shim.upstream.openapi.requests import Request
from shim.upstream.pace import Pace
from shim.upstream.wire import Connection, Lost

_CONNECTIONS: Final = 512
_CONNECTING: Final = 10.0


@dataclass(frozen=True, slots=True)
class Terms:
    """`limit` in bytes of the content. `is_safe`: nothing is changed by it. `began`: from here on it may be sent."""

    limit: int
    is_safe: bool
    began: Callable[[], None]


class Service:
    """Connections to the origin of `base`, shared by all that call it."""

    def __init__(self, name: str, base: str, tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(base)
        host = parts.hostname or ""
        self._name = name
        self._path = parts.path.rstrip("/")
        self._connections = Connections(
            Origin(host, parts.port or (443 if parts.scheme == "https" else 80), tls),
            Pace(asyncio.get_running_loop().time),
            limit=_CONNECTIONS,
            patience=_CONNECTING,
        )
        named = f"[{host}]" if ":" in host else host
        self._host = f"{named}:{parts.port}" if parts.port else named

    async def below(self, request: Request, sent: Sent, terms: Terms) -> Response:
        """The answer to a request whose path is below the base. Raises the Refusals."""
        return await self.at(replace(request, path=self._path + request.path), sent, terms)

    async def at(self, request: Request, sent: Sent, terms: Terms) -> Response:
        """The answer to a request for a path of the origin. Raises the Refusals."""
        try:
            connection = await self._connections.acquire()
        except NotSent as error:
            raise unavailable(self._name, str(error)) from None
        terms.began()
        connection.send(self._text(request, sent))
        is_read = False
        try:
            response = await self._response(connection, request, terms)
            is_read = request.method != "HEAD"
        except Lost as lost:
            if terms.is_safe:
                said = f"sent an answer that {lost}" if str(lost) else "ended the connection before it had answered"
                raise fault(self._name, said) from None
            raise unknown(self._name, str(lost)) from None
        finally:
            # What was not read to its end is cut, which is also how a call is cancelled.
            connection.release(answered=is_read)
        return response

    async def _response(self, connection: Connection, request: Request, terms: Terms) -> Response:
        await connection.head()
        headers = dict(connection.headers)
        if request.method == "HEAD":
            return Response(connection.status, headers, None)
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > terms.limit:
            raise too_large(self._name, terms.limit)
        if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
            raise fault(self._name, "sent an answer in an encoding that it was not asked for")
        pieces: list[bytes] = []
        size = 0
        while piece := await connection.read():
            size += len(piece)
            if size > terms.limit:
                raise too_large(self._name, terms.limit)
            pieces.append(piece)
        return Response(connection.status, headers, b"".join(pieces))

    def _text(self, request: Request, sent: Sent) -> bytes:
        query = "&".join(f"{name}={value}" for name, value in (*request.query, *sent.query))
        cookies = "; ".join(f"{name}={value}" for name, value in (*request.cookies, *sent.cookies))
        headers: list[tuple[str, str]] = [
            ("host", self._host),
            ("accept", "application/json, */*;q=0.8"),
            ("accept-encoding", "identity"),
            ("user-agent", "mcp-shim"),
            *request.headers,
            *sent.headers,
        ]
        if cookies:
            headers.append(("cookie", cookies))
        if request.content is not None:
            headers.append(("content-length", str(len(request.content))))
        target = request.path + (f"?{query}" if query else "")
        head = f"{request.method} {target or '/'} HTTP/1.1\r\n{_lines(headers)}\r\n"
        return head.encode("ascii") + (request.content or b"")

    def close(self) -> None:
        """Cut every connection; calls that wait for an answer then learn that it is lost."""
        self._connections.close()


def _lines(headers: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers)
