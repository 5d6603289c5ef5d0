"""`python -m tests.conformance.server`: serves until it is ended. Over HTTP it says on stderr where it listens."""

from __future__ import annotations

import argparse
import logging
import socket
import sys
import warnings

import anyio
import uvicorn
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPDeprecationWarning
from starlette.types import ASGIApp

from tests.conformance.server.app import Reference, build
from tests.conformance.server.eras import Era, OneEraOverHttp, only_modern


async def over_http(server: Reference, era: Era) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    app: ASGIApp = server.streamable_http_app()
    if era != "both":
        app = OneEraOverHttp(app, era)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/mcp", file=sys.stderr, flush=True)
    # Connections are kept longer than any run waits between two requests.
    config = uvicorn.Config(app, log_level="error", timeout_keep_alive=600, http="h11", timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve(sockets=[listener])


async def over_stdio(server: Reference, era: Era) -> None:
    async with stdio_server() as (read, write):
        if era == "legacy":
            async with server.lifespan(server) as state:
                await serve_loop(server, read, write, lifespan_state=state)
            return
        if era == "modern":
            only_modern(server)
        await server.run(read, write, server.create_initialization_options())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.server")
    parser.add_argument("--era", choices=("legacy", "modern", "both"), default="both")
    parser.add_argument("--transport", choices=("http", "stdio"), default="stdio")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=MCPDeprecationWarning)
    logging.basicConfig(level=logging.ERROR)
    anyio.run(over_http if given.transport == "http" else over_stdio, build(), given.era)


main()
