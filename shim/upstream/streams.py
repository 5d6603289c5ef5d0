"""The standard streams of a child, each a pipe."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import ExitStack
from typing import Any, cast

_HIGH_WATER = 256 * 1024
_CATCHING_UP = 0.2


class Input(asyncio.BaseProtocol):
    """Takes bytes without waiting; `writable` tells when most of them were taken. `lost` is set when none will be."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self._transport: asyncio.WriteTransport | None = None
        self._full = False
        self._writers: deque[asyncio.Future[None]] = deque()

    def write(self, data: bytes) -> None:
        """Queue bytes, all of them or (when nobody takes any) none."""
        if self._transport is not None and not self._deaf:
            self._transport.write(data)

    @property
    def unread(self) -> int:
        """Bytes written that were not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    async def writable(self) -> None:
        """Return when most of what was written is taken. Raises BrokenPipeError when no more is."""
        while self._full and not self._deaf:
            waiter = asyncio.get_running_loop().create_future()
            self._writers.append(waiter)
            await waiter
        if self._deaf:
            raise BrokenPipeError

    def close(self) -> None:
        """Nothing more will be written: what reads learns that once it has read what was."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """What was not taken yet is given up, too."""
        # Of one that has nothing left and is being closed, asyncio would tell the end twice, and fail at it.
        if self._transport is not None and not (self._transport.is_closing() and not self.unread):
            self._transport.abort()

    def lose(self) -> None:
        """Nobody reads any more."""
        self.lost.set()
        self.resume_writing()

    @property
    def _deaf(self) -> bool:
        # A pipe is closed a moment before anyone is told, and in between it takes nothing.
        return self.lost.is_set() or self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._transport = None
        self.lose()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        while self._writers:
            waiter = self._writers.popleft()
            if not waiter.done():
                waiter.set_result(None)


class Output(asyncio.Protocol):
    """What was written waits in `read`, bounded: a child that writes faster than it is read has to wait."""

    def __init__(self) -> None:
        self._transport: asyncio.ReadTransport | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._ended = False
        self._behind = False
        self._reader: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """All that has come since the last time, once there is some; empty at the end."""
        while not self._chunks and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        before, self._buffered = self._buffered, 0
        if before > _HIGH_WATER and not self._ended and self._transport is not None:
            self._transport.resume_reading()
        return data

    def end(self) -> None:
        """Nothing more is awaited, whoever may still have the other end. What had to wait for us comes first."""
        if self._behind and not self._ended:
            asyncio.get_running_loop().call_later(_CATCHING_UP, self.end)
            return
        self._over()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._over()

    def _over(self) -> None:
        self._ended = True
        self._wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._over()

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._buffered += len(data)
        self._behind = self._buffered > _HIGH_WATER and self._transport is not None
        if self._behind and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


async def connect(theirs: ExitStack, stdin: Input, stdout: Output, stderr: asyncio.BaseProtocol) -> list[int]:
    """Three new pipes: our ends are the loop's from now on, the child's are returned, and closed by `theirs`.

    Of its own accord uvloop gives a child sockets, on which opening /dev/stderr fails, and each of them twice, so that
    what it closes stays open. Raises OSError.
    """
    loop = asyncio.get_running_loop()
    ends: list[int] = []

    def pipe() -> tuple[int, int]:
        reading, writing = os.pipe()
        ends.append(writing if ends else reading)
        theirs.callback(os.close, ends[-1])
        return reading, writing

    await loop.connect_write_pipe(lambda: stdin, _handed(loop, pipe()[1], "wb"))
    await loop.connect_read_pipe(lambda: stdout, _handed(loop, pipe()[0], "rb"))
    await loop.connect_read_pipe(lambda: stderr, _handed(loop, pipe()[0], "rb"))
    return ends


class _Number:
    """A file that a loop takes over by its number, and closes itself."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        """The loop does it."""


def _handed(loop: asyncio.AbstractEventLoop, number: int, mode: str) -> Any:
    """The file as a loop may have it.

    uvloop closes the object first and then its number once more, which may be that of another thread's file by then.
    """
    return os.fdopen(number, mode, 0) if isinstance(loop, asyncio.SelectorEventLoop) else _Number(number)
