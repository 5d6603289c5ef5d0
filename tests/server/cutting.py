"""A proxy that loses connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Cutting:
    """Passes bytes on until it is told to `cut`. `port` is where it listens."""

    def __init__(self) -> None:
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self) -> int:
        """Lose every connection there is; how many there were."""
        lost = len(self._open) // 2
        for writer in self._open:
            writer.transport.abort()
        return lost

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def connected(self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reads, there_writes = await asyncio.open_connection("127.0.0.1", target)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass(reader, there_writes))
            group.create_task(self._pass(there_reads, writer))


@asynccontextmanager
async def cutting(target: int) -> AsyncIterator[Cutting]:
    """A proxy in front of a port of this machine."""
    proxy = Cutting()
    server = await asyncio.start_server(lambda r, w: proxy.connected(target, r, w), "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
        proxy.cut()
