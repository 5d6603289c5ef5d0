"""A modern server whose tools answer with tasks (extension io.modelcontextprotocol/tasks), on the SDK's server.

`python -m tests.parts.tasks_server [--http] --ledger FILE`: over stdio, or over HTTP on a free port (its URL is
printed).
Each request for a task is a line of the ledger: `{"method", "taskId", "extensions", "mcp-name"}`.

| tool | its task |
|---|---|
| `build` | works until it was asked for twice, then has `built` |
| `ask` | wants a name, and greets whom it was given |
| `crash` | fails with a JSON-RPC error |
| `endless` | works until it is cancelled |
| `plain` | none: answers at once |
"""

from __future__ import annotations

import argparse
import json
import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import CLIENT_CAPABILITIES_META_KEY

EXTENSION = "io.modelcontextprotocol/tasks"
TOOLS = ("ask", "build", "crash", "endless", "plain")
FORM = {
    "mode": "form",
    "message": "Who is it?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
}


@dataclass
class Task:
    tool: str
    asked: int = 0
    name: str | None = None
    cancelled: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def seed(self) -> dict[str, Any]:
        return {
            "taskId": self.id,
            "createdAt": "2026-07-28T00:00:00Z",
            "lastUpdatedAt": "2026-07-28T00:00:00Z",
            "ttlMs": 600_000,
            "pollIntervalMs": 10,
        }

    def state(self) -> dict[str, Any]:
        self.asked += 1
        if self.cancelled:
            return {**self.seed(), "status": "cancelled"}
        if self.tool == "crash":
            return {**self.seed(), "status": "failed", "error": {"code": -32603, "message": "it broke"}}
        if self.tool == "ask":
            if self.name is None:
                wanted = {"who": {"method": "elicitation/create", "params": FORM}}
                return {**self.seed(), "status": "input_required", "inputRequests": wanted}
            return {**self.seed(), "status": "completed", "result": _text(f"hello {self.name}")}
        if self.tool == "build" and self.asked > 1:
            return {**self.seed(), "status": "completed", "result": _text("built")}
        return {**self.seed(), "status": "working"}


def _text(text: str) -> dict[str, Any]:
    return {"resultType": "complete", "content": [{"type": "text", "text": text}]}


class Tasks:
    """The middleware that answers everything."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._tasks: dict[str, Task] = {}

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        params: dict[str, Any] = dict(ctx.params or {})
        if ctx.request_id is None:
            return await call_next(ctx)
        if ctx.method == "server/discover":
            capabilities: dict[str, Any] = {"tools": {}, "extensions": {EXTENSION: {}}}
            return {
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": capabilities,
                "ttlMs": 0,
                "cacheScope": "private",
            }
        if ctx.method == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
            return {"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "private"}
        if ctx.method == "tools/call":
            return self._call(params)
        if ctx.method.startswith("tasks/"):
            return self._task(ctx, params)
        raise MCPError(-32601, "Method not found", ctx.method)

    def _call(self, params: dict[str, Any]) -> dict[str, Any]:
        if params["name"] == "plain":
            return _text("at once")
        if EXTENSION not in _extensions(params):
            missing: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
            raise MCPError(-32021, "Missing required client capability", missing)
        task = Task(params["name"])
        self._tasks[task.id] = task
        early = {"inputRequests": {"early": {"method": "elicitation/create", "params": FORM}}}
        return {"resultType": "task", **task.seed(), "status": "working", **(early if task.tool == "ask" else {})}

    def _task(self, ctx: ServerRequestContext[Any, Any], params: dict[str, Any]) -> dict[str, Any]:
        headers = getattr(ctx.request, "headers", {})
        line = {
            "method": ctx.method,
            "taskId": params.get("taskId"),
            "extensions": sorted(_extensions(params)),
            "mcp-name": headers.get("mcp-name"),
        }
        with self._ledger.open("a") as file:
            file.write(json.dumps(line) + "\n")
        task = self._tasks.get(params.get("taskId", ""))
        if task is None:
            raise MCPError(-32602, "Failed to retrieve task: Task not found")
        if ctx.method == "tasks/get":
            return {"resultType": "complete", **task.state()}
        if ctx.method == "tasks/update":
            answer = params["inputResponses"].get("who", {})
            task.name = answer.get("content", {}).get("name", "nobody")
        else:
            task.cancelled = True
        return {"resultType": "complete"}


def _extensions(params: dict[str, Any]) -> dict[str, Any]:
    capabilities: dict[str, Any] = params.get("_meta", {}).get(CLIENT_CAPABILITIES_META_KEY, {})
    found: dict[str, Any] = capabilities.get("extensions", {})
    return found


async def _over_stdio(server: Server[Any]) -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


async def _over_http(server: Server[Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        config = uvicorn.Config(server.streamable_http_app(), log_level="warning")
        print(url, flush=True)
        await uvicorn.Server(config).serve(sockets=[listening])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--ledger", type=Path, required=True)
    given = parser.parse_args()
    server: Server[Any] = Server("tasks", version="1")
    server.middleware = [Tasks(given.ledger)]
    anyio.run(_over_http if given.http else _over_stdio, server)


if __name__ == "__main__":
    main()
