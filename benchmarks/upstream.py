"""The upstream that everything is measured against: an HTTP MCP server of both eras that does next to nothing.

`python -m benchmarks.upstream TOOLS` serves so many tools on a free port of 127.0.0.1 and prints the URL. Source of
the shapes: specification 2026-07-28 ("Discovery", "Streamable HTTP") and 2025-11-25 ("Lifecycle").
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TypeAlias, cast

import orjson
import uvloop

JsonObject: TypeAlias = dict[str, Any]

MODERN, LEGACY = "2026-07-28", "2025-11-25"
INFO = {"name": "bench", "version": "1"}
META = {"io.modelcontextprotocol/serverInfo": INFO}
CAPABILITIES: JsonObject = {"tools": {}}
HINTS = {"ttlMs": 3_600_000, "cacheScope": "public"}


def tool_name(number: int) -> str:
    return f"tool_{number:04d}"


def tools(count: int) -> list[JsonObject]:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return [
        {"name": tool_name(number), "description": f"Says it again, number {number}.", "inputSchema": schema}
        for number in range(count)
    ]


class Upstream(asyncio.Protocol):
    """One connection: requests in order, one answer each."""

    def __init__(self, offered: list[JsonObject]) -> None:
        self._offered = offered
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            whole = end + 4 + length
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            assert self._transport is not None
            self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if not head.startswith(b"post"):
            return b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n"
        message = orjson.loads(body)
        if "id" not in message:
            return b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
        params = message.get("params") or {}
        modern = "io.modelcontextprotocol/protocolVersion" in params.get("_meta", {})
        answer = {"jsonrpc": "2.0", "id": message["id"], **self._outcome(message["method"], params, modern)}
        text = orjson.dumps(answer)
        status = b"404 Not Found" if modern and "error" in answer else b"200 OK"
        return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
            status,
            len(text),
            text,
        )

    def _outcome(self, method: str, params: JsonObject, modern: bool) -> JsonObject:
        body: JsonObject
        match method:
            case "tools/call":
                body = {"content": [{"type": "text", "text": params["arguments"]["text"]}]}
            case "tools/list":
                body = {"tools": self._offered, **(HINTS if modern else {})}
            case "server/discover" if modern:
                body = {"supportedVersions": [MODERN], "capabilities": CAPABILITIES, **HINTS}
            case "initialize":
                body = {"protocolVersion": LEGACY, "capabilities": CAPABILITIES, "serverInfo": INFO}
            case "ping":
                body = {}
            case _:
                return {"error": {"code": -32601, "message": f"Method not found: {method}"}}
        return {"result": {**body, "resultType": "complete", "_meta": META} if modern else body}


async def serve(count: int) -> None:
    offered = tools(count)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(offered), "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"http://{host}:{port}/mcp", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
