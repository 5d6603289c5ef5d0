"""MCP servers over HTTP for tests: one that speaks either era by hand and does every wrong thing by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shim.model import Json, JsonObject

CAPABILITIES = {"tools": {"listChanged": True}, "logging": {}}


@dataclass
class Request:
    method: str
    headers: dict[str, str]
    message: JsonObject
    writer: asyncio.StreamWriter

    @property
    def id(self) -> Json:
        return self.message.get("id")

    @property
    def params(self) -> JsonObject:
        params = self.message.get("params") or {}
        assert isinstance(params, dict)
        return params

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    def respond(self, status: int, body: bytes = b"", kind: str = "application/json", *more: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(body)}", *more]
        self.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def result(self, value: JsonObject, *more: str) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": self.id, "result": {"resultType": "complete", **value}}).encode()
        self.respond(200, body, "application/json", *more)

    def error(self, code: int) -> None:
        error = {"code": code, "message": "no"}
        self.respond(200, json.dumps({"jsonrpc": "2.0", "id": self.id, "error": error}).encode())

    def say(self, text: object) -> None:
        self.result({"content": [{"type": "text", "text": str(text)}]})

    def open_stream(self) -> None:
        self.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        self.write(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, message: JsonObject, prefix: bytes = b"") -> None:
        self.chunk(prefix + b"event: message\ndata: " + json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n\n")

    def close_stream(self) -> None:
        self.write(b"0\r\n\r\n")


Behaviour = Callable[[Request], Awaitable[None] | None]


@dataclass
class Web:
    """A server with a ledger of what it was asked. `tools` holds what each tool does."""

    era: str
    tools: dict[str, Behaviour] = field(default_factory=dict)
    seen: list[Request] = field(default_factory=list)
    standing: list[Request] = field(default_factory=list)
    extra: dict[str, Behaviour] = field(default_factory=dict)
    definitions: list[JsonObject] = field(default_factory=list)
    connections: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    session: int = 0
    url: str = ""

    def asked(self, method: str) -> list[Request]:
        return [request for request in self.seen if request.message.get("method", request.method) == method]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a request has made `condition` true."""
        async with asyncio.timeout(10), self.news:
            await self.news.wait_for(lambda: bool(condition()))

    async def _tell(self) -> None:
        async with self.news:
            self.news.notify_all()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                request = Request(first.split()[0], headers, json.loads(body) if body else {}, writer)
                self.seen.append(request)
                await self._tell()
                await self.handle(request)
                await self._tell()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.set()
        finally:
            writer.close()

    async def handle(self, request: Request) -> None:
        method = request.message.get("method", request.method)
        behaviour = self.extra.get(method) or getattr(self, "on_" + str(method).replace("/", "_").lower(), None)
        if method == "tools/call":
            behaviour = self.tools.get(request.params["name"], lambda r: r.say(json.dumps(r.params["arguments"])))
        if behaviour is None:
            request.respond(202)
            return
        outcome = behaviour(request)
        if outcome is not None:
            await outcome

    def on_server_discover(self, request: Request) -> None:
        if self.era == "legacy":
            error = {"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32600, "message": "Bad Request"}}
            request.respond(400, json.dumps(error).encode())
        else:
            request.result({"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES})

    def on_initialize(self, request: Request) -> None:
        self.session += 1
        value = {"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "serverInfo": {"name": "web"}}
        request.result(value, f"Mcp-Session-Id: s{self.session}")

    def on_tools_list(self, request: Request) -> None:
        names = ["echo", *self.tools]
        definitions = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
        request.result({"tools": definitions + self.definitions, "ttlMs": 0, "cacheScope": "public"})

    def on_get(self, request: Request) -> None:
        request.open_stream()
        self.standing.append(request)

    def on_subscriptions_listen(self, request: Request) -> None:
        request.open_stream()
        meta = {"io.modelcontextprotocol/subscriptionId": request.id}
        request.event({"method": "notifications/subscriptions/acknowledged", "params": {"_meta": meta}})
        self.standing.append(request)


@asynccontextmanager
async def serving(era: str, **tools: Behaviour) -> AsyncIterator[Web]:
    """A server on a free port of 127.0.0.1. Underscores in the names of tools are dashes."""
    web = Web(era, {name.replace("_", "-"): behaviour for name, behaviour in tools.items()})
    server = await asyncio.start_server(web.serve, "127.0.0.1", 0, limit=2**24)
    web.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield web
    finally:
        server.close()
