"""HTTP/1.1 over one connection: requests as they are written, and bounded reading of what is answered.

The parser is llhttp (`httptools`).
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections import deque
from typing import Protocol, cast

import httptools

from shim.upstream.pace import PIECE, TURN, Pace, worked

_HEAD = 64 * 1024
_BUFFER = 256 * 1024
_LINGER = 1.0


class Lost(Exception):
    """There is no answer, after the request may have been sent.

    `str()` says what is wrong with what came, and repeats none of it, to complete "... sent an answer that ..."; it is
    empty where the connection has just ended.
    """


class Owner(Protocol):
    """Whose a connection is: it is taken back there once it is free, and forgotten when it has ended."""

    pace: Pace

    def keep(self, connection: Connection) -> None: ...

    def gone(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """One connection, one request at a time. Also the response that is being read from it."""

    def __init__(self, owner: Owner) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.kept_until = 0.0
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._head = 0
        self._ready = False
        self._complete = True
        self._keep = False
        self._to_the_end = False
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._poll = select.poll()
        self._backlog = b""
        self._later: asyncio.TimerHandle | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._poll.register(sock.fileno(), select.POLLIN)

    @property
    def fresh(self) -> bool:
        """Whether it can take a request: open, and nothing (an end, above all) has come meanwhile."""
        idle_too_long = self._loop.time() >= self.kept_until
        return not (idle_too_long or self._transport.is_closing() or self._poll.poll(0))

    def send(self, request: bytes) -> None:
        """Begin a request. From here on it may have been sent."""
        self._parser = httptools.HttpResponseParser(self)
        self.status, self.headers = 0, {}
        self._chunks.clear()
        self._buffered = self._head = 0
        self._ready = self._complete = self._keep = self._to_the_end = False
        self._failure = None
        self._flow()
        self._transport.write(request)

    async def head(self) -> None:
        """Return when `status` and `headers` (names in lower case) are there. Raises Lost."""
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            await self._wait()

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end. Raises Lost."""
        while not self._chunks:
            if self._complete:
                return b""
            if self._failure is not None:
                raise self._failure
            await self._wait()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        self._flow()
        return data

    def release(self, *, answered: bool) -> None:
        """Done with the response. Without an answer the connection is cut, which is also how a call is cancelled.

        With one, what is left of the body (the end of an event stream) is awaited for an instant, so that the
        connection can be used again.
        """
        if self._complete:
            self._retire()
        elif answered and self._failure is None and self._buffered <= _BUFFER:
            self._chunks.clear()
            self._linger = self._loop.call_later(_LINGER, self.abort)
        else:
            self.abort()

    def abort(self) -> None:
        self._transport.abort()

    def _retire(self) -> None:
        if self._keep and not self._transport.is_closing():
            self._owner.keep(self)
        else:
            self._transport.close()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, why: str = "") -> None:
        if self._failure is None and not self._complete:
            self._failure = Lost(why)
            self._wake()

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:
        self._backlog = self._backlog + data if self._backlog else data
        if self._later is None:
            self._advance()

    def _advance(self) -> None:
        """Parse what has come, for one turn; then, or in debt, nothing is read until it goes on."""
        self._later = None
        data, at, began = self._backlog, 0, worked()
        while at < len(data) and not self._transport.is_closing():
            self._parse(data[at : at + PIECE])
            at += PIECE
            if worked() - began >= TURN:
                break
        self._backlog = data[at:]
        debt = self._owner.pace.charge(worked() - began)
        if (self._backlog or debt) and not self._transport.is_closing():
            self._later = self._loop.call_later(max(TURN, debt), self._advance)
        self._flow()

    def _flow(self) -> None:
        pause = self._later is not None or self._buffered > _BUFFER
        if pause == self._paused or self._transport.is_closing():
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _parse(self, data: bytes) -> None:
        if self._complete or self._parser is None:
            self.abort()
            return
        if not self._ready:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._give_up("goes on in another protocol than HTTP")
            return
        except httptools.HttpParserError as error:
            # The parser names the rule that is broken, such as "Invalid character in Content-Length".
            self._give_up(f"is not HTTP: {error}")
            return
        if not self._ready and self._head > _HEAD:
            self._give_up(f"has a head of more than {_HEAD} bytes")

    def _give_up(self, why: str) -> None:
        self._fail(why)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.gone(self)
        if self._later is not None:
            self._later.cancel()
        if self._linger is not None:
            self._linger.cancel()
        if self._to_the_end and exc is None and self._ready:
            self._complete = True
            self._wake()
        self._fail()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._complete:
            # A second response, to nothing: it is no part of the first, and nobody is asked here again.
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._complete:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        parser = cast(httptools.HttpResponseParser, self._parser)
        self.status = parser.get_status_code()
        if self.status >= 200:
            self._to_the_end = "content-length" not in self.headers and "transfer-encoding" not in self.headers
            self._ready = True
            self._wake()

    def on_body(self, body: bytes) -> None:
        if self._linger is not None or self._complete:
            return
        self._chunks.append(body)
        self._buffered += len(body)
        self._flow()
        self._wake()

    def on_message_complete(self) -> None:
        if self._complete:
            return
        if self.status < 200:
            self.headers = {}
            return
        self._complete = True
        self._keep = cast(httptools.HttpResponseParser, self._parser).should_keep_alive()
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
            self._retire()
        self._wake()
