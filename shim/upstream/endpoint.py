"""The one MCP endpoint of an HTTP upstream: where it is, what goes with every request, and the connections to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from shim.upstream.config import TlsBlock
from shim.upstream.connections import Connections, Origin
from shim.upstream.pace import Pace
from shim.upstream.wire import Connection

_CONNECTIONS = 512
_CONNECTING = 10.0


class CannotTrust(Exception):
    """The TLS files of the configuration cannot be used; `str()` says which and why."""


class Endpoint:
    """Sends requests to one URL over its own connections, with one TLS context. Redirects are nothing special here."""

    def __init__(self, url: str, headers: Mapping[str, str], tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        self.pace = Pace(asyncio.get_running_loop().time)
        self._connections = Connections(
            Origin(host, parts.port or (443 if secure else 80), tls),
            self.pace,
            limit=_CONNECTIONS,
            patience=_CONNECTING,
        )
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        named = f"[{host}]" if ":" in host else host
        fixed = {
            "host": f"{named}:{parts.port}" if parts.port else named,
            "accept-encoding": "identity",
            "user-agent": "mcp-shim",
            **{name.lower(): value for name, value in headers.items()},
        }
        self._fixed = _lines(fixed.items())

    async def begin(self, method: str, headers: Mapping[str, str], body: bytes = b"") -> Connection:
        """Send a request; the connection returned will carry its response. Raises NotSent: nothing was sent."""
        return self.send(await self.connect(), method, headers, body)

    async def connect(self) -> Connection:
        """A connection on which nothing of this request has been sent yet. Raises NotSent."""
        return await self._connections.acquire()

    def send(self, connection: Connection, method: str, headers: Mapping[str, str], body: bytes = b"") -> Connection:
        """Hand the request to the connection: from here on it may have been sent."""
        own = {**headers, "content-length": str(len(body))} if method == "POST" else headers
        start = f"{method} {self._path} HTTP/1.1\r\n".encode("ascii")
        connection.send(b"".join((start, self._fixed, _lines(own.items()), b"\r\n", body)))
        return connection

    def close(self) -> None:
        self._connections.close()


def _lines(headers: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("utf-8")


def trust(url: str, block: TlsBlock | None, folder: Path) -> ssl.SSLContext | None:
    """The TLS context of an upstream; None for plain HTTP. Paths are relative to `folder`. Raises CannotTrust."""
    if urlsplit(url).scheme != "https":
        return None
    block = block or TlsBlock()
    try:
        context = ssl.create_default_context(cafile=str(folder / block.ca) if block.ca else None)
        if block.cert is not None:
            context.load_cert_chain(folder / block.cert, folder / block.key if block.key else None)
    except (OSError, ssl.SSLError) as error:
        raise CannotTrust(f"its TLS files cannot be used ({error.strerror or error})") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
