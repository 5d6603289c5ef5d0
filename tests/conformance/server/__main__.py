"""`python -m tests.conformance.server`: serves until it is ended; over HTTP stdout says where."""

from __future__ import annotations

import argparse
import logging
import socket
import warnings
from pathlib import Path

import anyio
import uvicorn
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPDeprecationWarning
from starlette.types import ASGIApp

from tests.conformance.server.app import build
from tests.conformance.server.eras import Era, OneEraOverHttp, only_modern
from tests.conformance.server.world import World


async def over_http(world: World, page: int, era: Era) -> None:
    server = build(world, page)
    # Named as TCP: only so does asyncio send small answers at once, instead of waiting 40 ms for more.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    app: ASGIApp = server.streamable_http_app()
    if era != "both":
        app = OneEraOverHttp(app, era)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    # Connections are kept longer than any run waits between two requests.
    config = uvicorn.Config(app, log_level="error", timeout_keep_alive=600, http="h11", timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve(sockets=[listener])


async def over_stdio(world: World, page: int, era: Era) -> None:
    server = build(world, page)
    async with stdio_server() as (read, write), anyio.create_task_group() as group:
        group.start_soon(world.follow)
        if era == "legacy":
            async with server.lifespan(server) as state:
                await serve_loop(server, read, write, lifespan_state=state)
        else:
            if era == "modern":
                only_modern(server)
            await server.run(read, write, server.create_initialization_options())
        group.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.server")
    parser.add_argument("--era", choices=("legacy", "modern", "both"), default="both")
    parser.add_argument("--transport", choices=("http", "stdio"), default="stdio")
    parser.add_argument("--state", type=Path, help="a file that the processes of one server share")
    parser.add_argument("--page", type=int, default=1000, help="how many entries of a list come at once")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=MCPDeprecationWarning)
    logging.basicConfig(level=logging.ERROR)
    anyio.run(over_http if given.transport == "http" else over_stdio, World(given.state), given.page, given.era)


main()
