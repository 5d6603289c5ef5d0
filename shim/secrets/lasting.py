"""Requests that a server carries out to their end, also where this process dies in the middle of one.

A server in Go, as OpenBao and Vault are, waits for the end of a connection while it works for it, and drops its work
then: a database role may be made by that time, and no lease written down for it. It waits by reading. What is sent
behind a request, the beginning of another one, is read there instead, and nothing else is until the first has its
answer; so the end is not seen before (net/http, `connReader.backgroundRead`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

_BEHIND: Final = b"GET /v1/sys/health HTTP/1.1\r\nhost: none\r\nx-nothing: " + b"0" * 16384
"""More than is read ahead with the request; and never a whole request, so that none comes of it."""


def lasting() -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """For one request: its extension `trace` (of httpx). Its connection is of use for no other after it."""
    stream: Any = None

    async def traced(event: str, info: Mapping[str, Any]) -> None:
        nonlocal stream
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            stream = info["return_value"]
        elif event == "http11.send_request_body.complete" and stream is not None:
            await stream.write(_BEHIND, timeout=1.0)

    return traced
