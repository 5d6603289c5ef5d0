"""One HTTP/1.1 connection, server side: as much of RFC 9112 as clients of MCP use, and every byte in our hands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from tests.parts.odd_server.wire import JsonObject, dump

MAX_BODY = 64 * 2**20


@dataclass(frozen=True)
class Received:
    """One request; header names in lower case, a header sent twice joined with a comma."""

    verb: str
    path: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """Receives requests and answers each, as JSON or, once a notification was sent, as an event stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ahead = b""
        self._streaming = False
        self.extra: dict[str, str] = {}
        """Headers of the next answer."""

    async def receive(self) -> Received | None:
        """The next request; None when the client closed. Raises IncompleteReadError where it closed in the middle."""
        if not self._ahead:
            self._ahead = await self._reader.read(1)
        if not self._ahead:
            return None
        head, self._ahead = self._ahead + await self._reader.readuntil(b"\r\n\r\n"), b""
        first, *lines = head.decode("latin-1").split("\r\n")
        verb, path, _ = first.split(" ", 2)
        headers: dict[str, str] = {}
        for line in filter(None, lines):
            name, _, value = line.partition(":")
            key, value = name.strip().lower(), value.strip()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        self.extra, self._streaming = {}, False
        return Received(verb, path, headers, await self._body(headers))

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return await self._reader.readexactly(min(int(headers.get("content-length", "0")), MAX_BODY))
        pieces = []
        while size := int((await self._reader.readline()).split(b";")[0], 16):
            pieces.append(await self._reader.readexactly(size))
            await self._reader.readline()
        await self._reader.readline()
        return b"".join(pieces)

    async def reply(
        self, status: int, message: JsonObject | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """Answer with one message, on the event stream where one has begun; or with a status alone."""
        if self._streaming and message is not None:
            await self.event(message)
            await self.end()
            return
        body = dump(message) if message is not None else b""
        fields = {**self.extra, **(headers or {}), "content-length": str(len(body))}
        if message is not None:
            fields["content-type"] = "application/json"
        await self._write(self._head(status, fields) + body)

    async def begin_events(self) -> None:
        self._streaming = True
        fields = {
            **self.extra,
            "content-type": "text/event-stream",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
            "transfer-encoding": "chunked",
        }
        await self._write(self._head(200, fields))

    async def event(self, message: JsonObject) -> None:
        """One message on the event stream, which begins with the first."""
        await self.raw(dump(message) + b"\n")

    async def raw(self, data: bytes) -> None:
        """Bytes as they are: one event for each line. Nothing: the connection closes in the middle."""
        if not data:
            self._writer.close()
            return
        if not self._streaming:
            await self.begin_events()
        whole = data.endswith(b"\n")
        for line in data.rstrip(b"\n").split(b"\n"):
            text = b"event: message\r\ndata: " + line + (b"\r\n\r\n" if whole else b"")
            await self._write(b"%x\r\n%s\r\n" % (len(text), text))

    async def end(self) -> None:
        """Nothing more comes for this request."""
        if self._streaming:
            self._streaming = False
            await self._write(b"0\r\n\r\n")

    async def closed(self) -> None:
        """Returns when the client has closed; what it sends meanwhile waits."""
        while not self._reader.at_eof():
            piece = await self._reader.read(65536)
            self._ahead += piece

    async def during(self, task: asyncio.Future[None], *, cancel: bool) -> None:
        """Wait for a task that answers; where the client leaves before, end it (`cancel`) or let it run on.

        A task that was cancelled from elsewhere is not answered: the connection closes.
        """
        # While the answer is made nothing may come but the end, or a request sent ahead, of which one byte is kept.
        watch = asyncio.ensure_future(self._peek())
        try:
            await asyncio.wait([task, watch], return_when=asyncio.FIRST_COMPLETED)
            if cancel and not task.done() and not self._ahead:
                task.cancel()
            await asyncio.wait([task])
        finally:
            task.cancel()
            watch.cancel()
            await asyncio.wait([watch])
        if task.cancelled():
            self._writer.close()
        else:
            task.result()

    async def _peek(self) -> None:
        if not self._ahead:
            self._ahead = await self._reader.read(1)

    def _head(self, status: int, fields: dict[str, str]) -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode("latin-1")

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
