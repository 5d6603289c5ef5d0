"""A ticket system's MCP server over HTTP, on the SDK's own: it answers only those who bring its key."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

KEY = "tickets-key-3c9d1f"


def _server() -> MCPServer:
    server: MCPServer = MCPServer("tickets")
    tickets = {7: "The invoice is wrong", 8: "The invoice is wrong"}

    @server.tool()
    def list_tickets() -> str:
        """Open tickets."""
        return "\n".join(f"{number}: {title}" for number, title in tickets.items())

    @server.tool()
    def get_ticket(number: int) -> str:
        """One ticket."""
        return tickets[number]

    @server.tool()
    def comment(number: int, text: str) -> str:
        """Answer a ticket."""
        return f"{number}: {text}"

    @server.tool()
    def close_ticket(number: int, reason: str) -> str:
        """Close a ticket."""
        tickets.pop(number)
        return f"{number} is closed: {reason}"

    @server.tool()
    def delete_ticket(number: int) -> str:
        """Delete a ticket for good."""
        return tickets.pop(number)

    return server


class Guarded:
    """Refuses what does not bring the key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (b"authorization", f"Bearer {KEY}".encode()) not in scope["headers"]:
            await PlainTextResponse("who are you?", 401)(scope, receive, send)
            return
        await self._app(scope, receive, send)


@asynccontextmanager
async def tickets() -> AsyncIterator[str]:
    """The URL of a running one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        app = Guarded(_server().streamable_http_app())
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        task = asyncio.create_task(server.serve([listening]))
        try:
            yield url
        finally:
            server.should_exit = True
            await task
