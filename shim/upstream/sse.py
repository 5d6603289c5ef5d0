"""Server-sent events, read by hand: incrementally, each event bounded, at a cost linear in what came.

Source: WHATWG HTML, "Server-sent events", 9.2.6 (interpreting an event stream).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from shim.upstream.pace import Turn, pieces
from shim.upstream.wire import Connection


@dataclass(frozen=True, slots=True)
class Event:
    """One event that carries data. `id` is the stream's last event id as of this event."""

    data: bytes
    kind: bytes
    id: bytes | None


class EventTooLong(Exception):
    """An event's data exceeds the limit."""


class Events:
    """Feed chunks, get complete events. Raises EventTooLong as soon as an event exceeds `limit` bytes."""

    __slots__ = ("_bom", "_data", "_kind", "_last_cr", "_limit", "_partial", "_size", "id", "retry")

    def __init__(self, limit: int) -> None:
        self.id: bytes | None = None
        self.retry: float | None = None
        self._limit = limit
        self._partial: list[bytes] = []
        self._size = 0
        self._data: list[bytes] = []
        self._kind = b""
        self._last_cr = False
        self._bom = True

    def restart(self) -> None:
        """A new stream begins that continues the old one: its id is kept, a half-read event is not."""
        self._partial.clear()
        self._data, self._kind, self._size = [], b"", 0
        self._last_cr, self._bom = False, True

    def feed(self, chunk: bytes) -> list[Event]:
        if self._last_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._last_cr = False
        if not chunk:
            return []
        self._last_cr = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *complete, rest = chunk.split(b"\n")
        events: list[Event] = []
        for piece in complete:
            self._count(piece)
            line = b"".join((*self._partial, piece)) if self._partial else piece
            self._partial.clear()
            event = self._line(line)
            if event is not None:
                events.append(event)
        if rest:
            self._count(rest)
            self._partial.append(rest)
        return events

    def _count(self, piece: bytes) -> None:
        self._size += len(piece)
        # Field names and spaces count too: the bound is on memory, so an answer just at the limit may be refused
        # only when it is spread over very many lines.
        if self._size > self._limit + 1024:
            raise EventTooLong

    def _line(self, line: bytes) -> Event | None:
        if self._bom:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._bom = False
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value
        elif name == b"id" and b"\0" not in value:
            self.id = value
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            self.retry = int(value) / 1000
        elif not name:
            # A comment: a keep-alive, nothing that would have to be remembered.
            self._size -= len(line)
        return None

    def _dispatch(self) -> Event | None:
        data, kind = self._data, self._kind
        self._data, self._kind, self._size = [], b"", 0
        if not data:
            return None
        joined = data[0] if len(data) == 1 else b"\n".join(data)
        if len(joined) > self._limit:
            raise EventTooLong
        return Event(joined, kind or b"message", self.id)


async def messages(connection: Connection, events: Events, turn: Turn) -> AsyncIterator[bytes]:
    """The messages of an event stream; a flood of whatever sort is read slowly. Raises Lost, EventTooLong."""
    while chunk := await connection.read():
        turn.begin()
        for piece in pieces(chunk):
            for event in events.feed(piece):
                if event.kind == b"message" and event.data:
                    yield event.data
                    await turn.step()
            await turn.step()
        await turn.end()
