"""Notes over HTTP on the SDK 2.x, served to modern clients; prints its URL once it listens."""

from __future__ import annotations

import asyncio

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

from shim.server.listen import bind

notes = MCPServer("notes")


def note(uri: str) -> None:
    @notes.resource(uri)
    def read() -> str:
        return f"{uri} as it is"


for letter in "abc":
    note(f"note:///{letter}")


@notes.tool()
async def write(uri: str, ctx: Context) -> str:
    """A note is another."""
    await ctx.notify_resource_updated(uri)
    return uri


async def main() -> None:
    with bind("127.0.0.1", 0) as sock:
        print(f"http://127.0.0.1:{sock.getsockname()[1]}/mcp", flush=True)
        server = uvicorn.Server(uvicorn.Config(notes.streamable_http_app(), log_level="error", lifespan="on"))
        await server.serve(sockets=[sock])


asyncio.run(main())
