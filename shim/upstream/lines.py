"""Cutting a stream of bytes into lines, with a bound on each and a cost that is linear in what came."""

from __future__ import annotations

from dataclasses import dataclass

_KEPT = 4096


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line over the limit, as little of it as may tell whose it was: its beginning, its end, and its length."""

    head: bytes
    tail: bytes
    length: int


class Lines:
    """Feed chunks, get whole lines without their line feed. What exceeds `limit` bytes is counted, never kept."""

    __slots__ = ("_head", "_length", "_limit", "_parts", "_tail")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._length = 0
        self._head: bytes | None = None
        self._tail = b""

    @property
    def pending(self) -> int:
        """Bytes of the line that is not complete yet."""
        return self._length

    def feed(self, chunk: bytes) -> list[bytes | TooLong]:
        if b"\n" not in chunk:
            self._add(chunk)
            return []
        first, *middle, last = chunk.split(b"\n")
        self._add(first)
        lines: list[bytes | TooLong] = [self._take()]
        for line in middle:
            self._add(line)
            lines.append(self._take())
        self._add(last)
        return lines

    def skip(self, chunk: bytes) -> int:
        """Take a chunk whose whole lines nobody wants; how many they were."""
        before, found, last = chunk.rpartition(b"\n")
        if found:
            self._parts, self._head, self._tail, self._length = [], None, b"", 0
        self._add(last)
        return before.count(b"\n") + len(found)

    def _add(self, piece: bytes) -> None:
        if not piece:
            return
        self._length += len(piece)
        if self._head is None:
            self._parts.append(piece)
            if self._length <= self._limit:
                return
            whole = b"".join(self._parts)
            self._parts.clear()
            self._head, self._tail = whole[:_KEPT], whole[-_KEPT:]
        else:
            if len(self._head) < _KEPT:
                self._head = (self._head + piece[:_KEPT])[:_KEPT]
            self._tail = (self._tail + piece[-_KEPT:])[-_KEPT:]

    def _take(self) -> bytes | TooLong:
        if self._head is None:
            line: bytes | TooLong = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        else:
            line = TooLong(self._head, self._tail, self._length)
        self._parts, self._head, self._tail, self._length = [], None, b"", 0
        return line
