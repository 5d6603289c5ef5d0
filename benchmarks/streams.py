"""What a stream that waits for something to be told costs: the memory of mcp-shim with many, and without any."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import fronts
from benchmarks.fronts import Front, Shape
from benchmarks.load import Target
from benchmarks.processes import Weight, weigh

IDENTITIES = 20
MODERN, LEGACY = "2026-07-28", "2025-11-25"
_BOTH = {"content-type": "application/json", "accept": "application/json, text/event-stream"}

Opening = Callable[[Target, AsyncExitStack], Awaitable[None]]


@dataclass(frozen=True)
class Idle:
    """Memory with so many of something open, and with none, in MiB."""

    count: int
    none: Weight
    all: Weight

    @property
    def kib(self) -> float:
        """KiB of each: of what is its own, where the system says how much that is."""
        more = self.all.rss - self.none.rss
        if self.all.pss is not None and self.none.pss is not None:
            more = self.all.pss - self.none.pss
        return more * 1024 / self.count


async def idle(folder: Path, count: int) -> dict[str, Idle]:
    """Each kind of stream in a process of its own."""
    found: dict[str, Idle] = {}
    async with fronts.bare(Shape(), folder) as upstream:
        for number, (name, opening) in enumerate(KINDS.items()):
            shape = Shape(identities=IDENTITIES)
            async with (
                fronts.shim(shape, upstream.targets[0].url, folder / f"idle-{number}") as front,
                AsyncExitStack() as stack,
            ):
                # The first of a kind imports, compiles and caches what the others find there.
                await _open(front, IDENTITIES, opening, stack)
                before = weigh(front.pid)
                await _open(front, count, opening, stack)
                found[name] = Idle(count, before, weigh(front.pid))
    return found


async def _open(front: Front, count: int, opening: Opening, stack: AsyncExitStack) -> None:
    for number in range(count):
        await opening(front.targets[number % len(front.targets)], stack)


async def _listen(target: Target, stack: AsyncExitStack) -> None:
    envelope = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"notifications": {"toolsListChanged": True}, "_meta": envelope}
    message = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}
    more = {"mcp-protocol-version": MODERN, "mcp-method": "subscriptions/listen"}
    await stack.enter_async_context(_answering(target, "POST", {**_BOTH, **more}, message))


async def _session(target: Target, _: AsyncExitStack) -> None:
    await _opened(target)


async def _get(target: Target, stack: AsyncExitStack) -> None:
    session = {"mcp-session-id": await _opened(target), "mcp-protocol-version": LEGACY, "accept": "text/event-stream"}
    await stack.enter_async_context(_answering(target, "GET", session))


async def _opened(target: Target) -> str:
    info = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": info}
    async with _answering(target, "POST", _BOTH, hello) as head:
        return head["mcp-session-id"]


KINDS: Mapping[str, Opening] = {
    "subscriptions/listen": _listen,
    "a legacy session": _session,
    "a legacy session with a stream (GET)": _get,
}


@asynccontextmanager
async def _answering(
    target: Target, verb: str, headers: Mapping[str, str], message: object = None
) -> AsyncIterator[dict[str, str]]:
    """The headers of a response whose body begins, on a connection that is open as long as the block lasts."""
    url = urlsplit(target.url)
    body = b"" if message is None else json.dumps(message).encode()
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        sent = {"host": url.netloc, "content-length": str(len(body)), **target.headers, **headers}
        lines = [f"{verb} {url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        if " 200 " not in f"{head[0]} ":
            raise RuntimeError(f"{verb}: {head[0]}")
        await reader.readuntil(b"\r\n\r\n")
        yield {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
    finally:
        writer.close()
