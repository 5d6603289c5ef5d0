"""The load: callers on kept connections that send one call, check its answer, and send the next.

The generator shares the machine with what it measures, so it does as little as it can: requests are encoded before
the clock starts, and only the number that makes each call its own is put in as it is sent. Every answer is checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

import orjson

PATIENCE = 120.0
"""Seconds after which a measurement that does not end is given up."""

_DIGITS = 10
_MARK = b"#" * _DIGITS
MODERN = "2026-07-28"


@dataclass(frozen=True)
class Target:
    """Where the calls of one caller go: a URL, the tool's name there, and headers that say who calls."""

    url: str
    tool: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Figures:
    """One measurement. Latencies, and processor time of the front for each call, in milliseconds."""

    calls: int
    seconds: float
    p50: float
    p99: float
    cpu: float | None = None

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds


class BadAnswer(Exception):
    """An answer that is not the one to this call; the text is the answer."""


def encode(target: Target) -> tuple[bytes, bytes, bytes]:
    """One stateless `tools/call`, in the three pieces around the two places of its number."""
    envelope = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    mark = _MARK.decode()
    arguments = {"text": f"call {mark}"}
    params = {"name": target.tool, "arguments": arguments, "_meta": envelope}
    body = orjson.dumps({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": params})
    body = body.replace(b'"id":0', b'"id":' + _MARK, 1)
    split = urlsplit(target.url)
    headers = {
        "host": split.netloc,
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
        "mcp-name": target.tool,
        **target.headers,
        "content-length": str(len(body)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    first, second, third = (f"POST {split.path} HTTP/1.1\r\n{head}\r\n".encode() + body).split(_MARK)
    return first, second, third


class Caller(asyncio.Protocol):
    """One kept connection; `run` makes calls on it, each after the answer to the one before."""

    def __init__(self, target: Target) -> None:
        self._pieces = encode(target)
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[None] | None = None
        self._number = self._last = 0
        self._sent = 0.0
        self.latencies: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(BadAnswer(f"the connection closed: {exc}"))

    async def run(self, first: int, calls: int) -> None:
        """Calls numbered from `first` on. Raises BadAnswer at the first that is not answered as it should be."""
        self._number, self._last = first, first + calls
        self.latencies = []
        self._done = asyncio.get_running_loop().create_future()
        self._send()
        await self._done

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        assert self._transport is not None
        number = b"%010d" % self._number
        self._sent = perf_counter()
        self._transport.write(number.join(self._pieces))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        body = _body(self._buffer)
        if body is None or self._done is None or self._done.done():
            return
        self.latencies.append(perf_counter() - self._sent)
        number = b"%010d" % self._number
        # Cheap and sufficient: this call's id and this call's text, once each, a result, and no error in it.
        if body.count(number) < 2 or b'"result"' not in body or b'"isError":true' in body:
            self._done.set_exception(BadAnswer(bytes(self._buffer[:2000]).decode(errors="replace")))
            return
        self._buffer.clear()
        self._number += 1
        if self._number == self._last:
            self._done.set_result(None)
        else:
            self._send()


def _body(buffer: bytearray) -> bytes | None:
    """The body of a whole response; None while there is more to come."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(buffer[:end]).lower()
    at = head.find(b"content-length:")
    if at >= 0:
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        return bytes(buffer[end + 4 :]) if len(buffer) >= end + 4 + length else None
    return bytes(buffer[end + 4 :]) if buffer.endswith(b"0\r\n\r\n") else None


async def measure(targets: Sequence[Target], calls: int, *, first: int = 1_000_000_000) -> Figures:
    """So many calls in all, shared by one caller for each target, all at once on connections of their own."""
    each = max(1, calls // len(targets))
    callers: list[Caller] = []
    try:
        callers.extend([await _connected(target) for target in targets])
        started = perf_counter()
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            for index, caller in enumerate(callers):
                group.create_task(caller.run(first + index * each, each))
        seconds = perf_counter() - started
    finally:
        for caller in callers:
            caller.close()
    latencies = sorted(latency for caller in callers for latency in caller.latencies)
    return Figures(len(latencies), seconds, _at(latencies, 0.5), _at(latencies, 0.99))


async def _connected(target: Target) -> Caller:
    caller, split = Caller(target), urlsplit(target.url)
    await asyncio.get_running_loop().create_connection(lambda: caller, split.hostname or "", split.port or 80)
    return caller


def _at(latencies: Sequence[float], share: float) -> float:
    return latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1000
