"""A SQL tool over HTTP on the SDK 2.x, which has no credential of its own: each request brings that of its caller.

`python -m tests.parts.sql_server --psql PROGRAM --host FOLDER` prints its URL once it listens. The request's
headers `x-db-user` and `x-db-password` say who asks the database.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from shim.server.listen import bind


def _server(psql: str, host: str) -> MCPServer:
    server: MCPServer = MCPServer("sql", log_level="ERROR")

    @server.tool()
    async def query(sql: str, ctx: Context[Any, Any]) -> str:
        """The rows of a query, columns split by `|`."""
        request = ctx.request_context.request
        assert request is not None
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PGHOST": host,
            "PGDATABASE": "postgres",
            "PGUSER": request.headers["x-db-user"],
            "PGPASSWORD": request.headers["x-db-password"],
        }
        process = await asyncio.create_subprocess_exec(
            psql, "--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql,
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        if process.returncode:
            raise ToolError(err.decode())
        return out.decode().rstrip("\n")

    return server


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--psql", required=True)
    parser.add_argument("--host", required=True)
    options = parser.parse_args()
    with bind("127.0.0.1", 0) as sock:
        print(f"http://127.0.0.1:{sock.getsockname()[1]}/mcp", flush=True)
        app = _server(options.psql, options.host).streamable_http_app()
        await uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).serve(sockets=[sock])


if __name__ == "__main__":
    asyncio.run(_main())
