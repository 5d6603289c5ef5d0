"""One era alone: what a server that speaks only it says to the other."""

from __future__ import annotations

from typing import Any, Literal

from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.conformance.server.world import Context

Era = Literal["legacy", "modern", "both"]


def _refusal(era: Era, requested: Any) -> tuple[int, str, dict[str, Any] | None]:
    """Code, message and data. A legacy server knows no error of its own for this, as servers on SDK 1.x do not."""
    if era == "legacy":
        known = ", ".join(HANDSHAKE_PROTOCOL_VERSIONS)
        return INVALID_REQUEST, f"Bad Request: Unsupported protocol version: {requested}. Supported: {known}", None
    data = {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": requested}
    return UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version", data


class OneEraOverHttp:
    """Answers POSTs of the other era itself: the header alone says which it is, and without it is legacy."""

    def __init__(self, app: ASGIApp, era: Era) -> None:
        self._app = app
        self._era = era

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        version = Request(scope).headers.get("mcp-protocol-version", "")
        if (version in MODERN_PROTOCOL_VERSIONS) == (self._era == "modern"):
            await self._app(scope, receive, send)
            return
        code, message, data = _refusal(self._era, version)
        error = {"code": code, "message": message} | ({"data": data} if data is not None else {})
        await JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 400)(scope, receive, send)


async def _only_modern(ctx: Context, call_next: CallNext) -> HandlerResult:
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        code, message, data = _refusal("modern", (ctx.params or {}).get("protocolVersion"))
        raise MCPError(code, message, data)
    return await call_next(ctx)


def only_modern(server: Server[Any]) -> None:
    """Have a server refuse the handshake and all that comes with it."""
    server.middleware.insert(0, _only_modern)
