"""What it costs to call an HTTP API through mcp-shim, beside calling it directly.

`python -m benchmarks.apis` is the service: it prints its address and runs until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import cast
from urllib.parse import parse_qs, urlsplit

import httptools
import httpx2
import uvloop

from benchmarks import fronts
from benchmarks.fronts import Shape
from benchmarks.processes import running
from benchmarks.rounds import CALLERS, Direct, Series, Size, interleave
from benchmarks.upstream import tool_name

_SHAPE = Shape()
_URL = re.compile(r"^(http://\S+)\n", re.MULTILINE)
_EACH = 500


async def apis(size: Size, folder: Path) -> tuple[list[Series], Direct]:
    """Calls a second and latencies of one operation, and the request that it is by a client that keeps connections."""
    folder = folder / "apis"
    folder.mkdir(mode=0o700)
    name = tool_name(_SHAPE.tool)
    text = {"name": "text", "in": "query", "required": True, "schema": {"type": "string", "maxLength": 10_000}}
    operation = {"operationId": name, "parameters": [text], "responses": {"200": {"description": "it, again"}}}
    about = {"openapi": "3.1.0", "info": {"title": "bench", "version": "1"}}
    (folder / "api.json").write_text(json.dumps({**about, "paths": {"/say": {"get": operation}}}))
    async with AsyncExitStack() as stack:
        started = await stack.enter_async_context(running([sys.executable, "-m", "benchmarks.apis"], folder, "api"))
        base = await started.url(_URL)
        upstream = {"openapi": str(folder / "api.json"), "base": base, "operations": ["GET /**"]}
        more = {"upstreams": {"bench": upstream}}
        front = await stack.enter_async_context(fronts.shim(_SHAPE, base, folder / "shim", "an operation", more))
        return await interleave([front], size), await _direct(f"{base}/say")


async def _direct(url: str) -> Direct:
    async with httpx2.AsyncClient(trust_env=False) as client:

        async def ask() -> float:
            began = perf_counter()
            (await client.get(url, params={"text": "call"})).raise_for_status()
            return (perf_counter() - began) * 1000

        alone = median([await ask() for _ in range(_EACH)])
        callers = max(CALLERS)
        began = perf_counter()
        for _ in range(_EACH // 10):
            await asyncio.gather(*(ask() for _ in range(callers)))
        return Direct(alone, callers * (_EACH // 10) / (perf_counter() - began))


class _Api(asyncio.Protocol):
    """One connection: says the text of each request again."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_message_complete(self) -> None:
        text = parse_qs(urlsplit(self._url.decode()).query, keep_blank_values=True)["text"][0]
        body = text.encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Api, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"http://{host}:{port}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
