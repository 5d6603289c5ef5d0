"""The server over its standard input and output, one message a line. It ends when its input ends."""

from __future__ import annotations

import asyncio
import json
import sys

from tests.parts.odd_server.calls import Withheld
from tests.parts.odd_server.server import OddServer
from tests.parts.odd_server.wire import (
    INVALID_REQUEST,
    PARSE_ERROR,
    Era,
    JsonObject,
    Request,
    RpcError,
    Session,
    dump,
    failure,
    is_modern,
    result,
)

LINE = 64 * 2**20
"""Bytes that one message may have."""


class Stdio:
    """One connection for the life of the process."""

    def __init__(self, server: OddServer, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._writer = writer
        self._session = Session(stream=self.send)

    async def send(self, message: JsonObject) -> None:
        await self.raw(dump(message) + b"\n")

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        if not data:
            self._writer.close()
        else:
            await self._writer.drain()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        async with asyncio.TaskGroup() as group:
            while line := await reader.readline():
                await self._take(line, group)
            for task in self._session.running.values():
                task.cancel()

    async def _take(self, line: bytes, group: asyncio.TaskGroup) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            await self.send(failure(None, {"code": PARSE_ERROR, "message": "Parse error"}))
            return
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            await self.send(failure(None, {"code": INVALID_REQUEST, "message": "Invalid request"}))
            return
        params = message.get("params") or {}
        if "id" not in message:
            self._heard(message["method"], params)
            return
        # A server of the handshake alone knows no envelope: it sees a method it does not have.
        era: Era = "modern" if is_modern(params) and "modern" in self._server.eras else "legacy"
        request = Request(message["id"], message["method"], params, era, self._session, self.send, self.raw)
        self._session.running[request.id] = group.create_task(self._run(request))

    def _heard(self, method: str, params: JsonObject) -> None:
        if method == "notifications/initialized":
            self._server.join(self._session)
        elif method == "notifications/cancelled":
            task = self._session.running.get(params.get("requestId", ""))
            if task is not None:
                task.cancel()

    async def _run(self, request: Request) -> None:
        try:
            if request.method == "subscriptions/listen" and request.era == "modern":
                await self._listen(request)
            await self.send(result(request.id, await self._server.answer(request)))
        except RpcError as error:
            await self.send(failure(request.id, error.error))
        except Withheld:
            pass
        finally:
            self._session.running.pop(request.id, None)

    async def _listen(self, request: Request) -> None:
        # It ends by being cancelled; its stream is the connection itself.
        try:
            await self.send(self._server.subscribe(request))
            await asyncio.Event().wait()
        finally:
            self._server.unsubscribe(request)


async def serve(server: OddServer) -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)
    await Stdio(server, asyncio.StreamWriter(transport, protocol, None, loop)).serve(reader)
