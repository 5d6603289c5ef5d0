"""How a page is sent: what the browser may do with it stands in its headers."""

from __future__ import annotations

from typing import Final

from shim.console.texts import STYLE_SOURCE
from shim.server.exchange import Exchange

_FIELDS: Final = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    # Not `no-referrer`: then a browser leaves out of a form where it came from, too. Other sites learn as little.
    (b"referrer-policy", b"same-origin"),
]
_ANYWHERE: Final = "https: http:"
_NEVER: Final = "frame-ancestors 'none'; base-uri 'none'"


async def show(
    exchange: Exchange, status: int, text: str, *, leaves: bool = False, cookies: tuple[bytes, ...] = ()
) -> None:
    """One page as the whole response. `leaves`: its form leads to another site, wherever a redirect says.

    A browser applies what a policy says of forms to where they are redirected, too.
    """
    action = _ANYWHERE if leaves else "'self'"
    policy = f"default-src 'none'; style-src {STYLE_SOURCE}; form-action {action}; {_NEVER}"
    body = text.encode()
    fields = [*_FIELDS, (b"content-security-policy", policy.encode()), (b"content-length", b"%d" % len(body))]
    await _send(exchange, status, [*fields, *((b"set-cookie", cookie) for cookie in cookies)], body)


async def lead(exchange: Exchange, where: str, *, cookies: tuple[bytes, ...] = ()) -> None:
    """Have the browser load another page, by GET."""
    fields = [
        (b"location", where.encode("latin-1")),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"same-origin"),
        (b"content-length", b"0"),
    ]
    await _send(exchange, 303, [*fields, *((b"set-cookie", cookie) for cookie in cookies)], b"")


async def _send(exchange: Exchange, status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
    exchange.started = True
    await exchange.send({"type": "http.response.start", "status": status, "headers": fields})
    await exchange.send({"type": "http.response.body", "body": body})
