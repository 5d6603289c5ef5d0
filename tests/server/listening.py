"""Clients that listen: the streams of both eras, event by event, on connections of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import anyio

from shim.model import JsonObject
from tests.server.running import PATIENCE, Raw, Served, request, routed


async def until(condition: Callable[[], bool]) -> None:
    """Return when it holds, which nothing announces. Raises TimeoutError."""
    with anyio.fail_after(PATIENCE):
        for patience in count(1):
            if condition():
                return
            await anyio.sleep(min(0.1, 0.001 * patience))


@dataclass
class Event:
    """One event as it came; `message` None: it had no data."""

    id: str | None
    message: JsonObject | None

    @property
    def method(self) -> str | None:
        return self.message.get("method") if self.message is not None else None


@dataclass
class Stream:
    """A response that is an event stream, read by a task of its own."""

    status: int
    head: bytes
    writer: asyncio.StreamWriter
    events: list[Event] = field(default_factory=list)
    pings: int = 0
    ended: bool = False
    body: bytes = b""
    _more: anyio.Event = field(default_factory=anyio.Event)

    async def until(self, events: int, *, pings: int = 0) -> list[Event]:
        """Its events, once there are so many, and so many pings. Raises TimeoutError."""
        with anyio.fail_after(PATIENCE):
            while (len(self.events) < events or self.pings < pings) and not self.ended:
                self._more = anyio.Event()
                await self._more.wait()
        return self.events

    async def end(self) -> list[Event]:
        """Its events, once the server has ended it. Raises TimeoutError."""
        with anyio.fail_after(PATIENCE):
            while not self.ended:
                self._more = anyio.Event()
                await self._more.wait()
        return self.events

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Read chunk by chunk (RFC 9112, section 7.1); each write of the server is a chunk."""
        held = b""
        try:
            while size := int(await reader.readline() or b"0", 16):
                held += await reader.readexactly(size)
                await reader.readexactly(2)
                *whole, held = held.split(b"\r\n\r\n")
                for block in whole:
                    self._take(block)
                self._more.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended = True
            self._more.set()

    def _take(self, block: bytes) -> None:
        if block.startswith(b":"):
            self.pings += 1
            return
        fields = dict(line.split(b": ", 1) for line in block.split(b"\r\n"))
        data = fields.get(b"data")
        event_id = fields.get(b"id")
        self.events.append(Event(event_id.decode() if event_id else None, json.loads(data) if data else None))


@asynccontextmanager
async def opened(served: Served, verb: bytes, headers: dict[str, str], body: bytes = b"") -> AsyncIterator[Stream]:
    """A request on a connection of its own, which is closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    lines = [b"%b /mcp HTTP/1.1" % verb, b"host: 127.0.0.1:%d" % served.port, b"content-length: %d" % len(body)]
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    try:
        with anyio.fail_after(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
        stream = Stream(int(head.split(b" ")[1]), head, writer)
        async with asyncio.TaskGroup() as group:
            if b"transfer-encoding: chunked" in head:
                reading = group.create_task(stream.read(reader))
            else:
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                stream.body = await reader.readexactly(length)
                reading = group.create_task(asyncio.sleep(0))
            yield stream
            reading.cancel()
    finally:
        writer.close()


@asynccontextmanager
async def getting(served: Served, session: Raw, **more: str) -> AsyncIterator[Stream]:
    """The stream of a legacy session's notices, or the one that `last-event-id` is of."""
    headers = {**session.headers, "accept": "text/event-stream", **{k.replace("_", "-"): v for k, v in more.items()}}
    async with opened(served, b"GET", headers) as stream:
        yield stream


@asynccontextmanager
async def calling(served: Served, session: Raw, message: JsonObject) -> AsyncIterator[Stream]:
    """A request in a legacy session."""
    async with opened(served, b"POST", session.headers, json.dumps(message).encode()) as stream:
        yield stream


@asynccontextmanager
async def listening(
    served: Served,
    token: str = "ALICE",
    filter_: JsonObject | None = None,
    id: int | str = 1,  # noqa: A002
) -> AsyncIterator[Stream]:
    """A `subscriptions/listen`, by default of changes of the list of tools."""
    wanted = {"toolsListChanged": True} if filter_ is None else filter_
    message = request("subscriptions/listen", {"notifications": wanted}, id=id)
    async with opened(served, b"POST", routed(message, token), json.dumps(message).encode()) as stream:
        yield stream
