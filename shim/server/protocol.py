"""HTTP/1.1 on one connection, with the bounds that uvicorn's own protocol does not have.

A header block is bounded in size and time, the pieces of a body in time, and so is a response that its client does not
read: then the connection ends, and what it held is gone. What two readers could take for different
requests (RFC 9112, section 6.1 and 3.2: a length beside chunks, two Hosts, a target that names another host) is refused
and the connection closed.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from shim.server.exchange import ABORT


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes of a header block; seconds for one, between pieces of a body, and until an idle connection is closed.

    `stall_seconds`: how long a response may wait for a client that takes nothing of it.
    """

    head: int = 64 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 60.0
    stall_seconds: float = 30.0


def undelivered(transport: asyncio.Transport) -> int:
    """Bytes that the other side has not taken: here, and in the system's buffer, which moves in large steps."""
    held, sock = transport.get_write_buffer_size(), transport.get_extra_info("socket")
    if sys.platform != "linux" or sock is None or sock.fileno() < 0:
        return held
    (queued,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    return held + int(queued)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `bounds` is that of the class that `bounded` makes."""

    bounds = Bounds()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._turned = False
        self._head_fed = 0
        self._head_size = 0
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its base class has it
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_stall()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_again(undelivered(self.transport))

    def resume_writing(self) -> None:
        self._stop_stall()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._in_head and self._timer is None and (self.cycle is None or self.cycle.response_complete):
            # The first byte after an idle time, be it of a head or a stray line end: the idle timer ends here.
            self._await_head()
        self._turned = False
        super().data_received(data)
        if self._in_head and not self._turned and not self.transport.is_closing():
            self._head_fed += len(data)
            if self._head_fed > self.bounds.head:
                self._cut(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort  # type: ignore[typeddict-unknown-key] # for our own application alone
        self._in_head = True
        self._head_fed = self._head_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: nothing may join the headers after they were looked at
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self.bounds.head:
            self._refuse("header block too large")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._check_head()
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()
        self._start_timer(self.bounds.body_seconds, self._body_late)

    def on_body(self, body: bytes) -> None:
        self._start_timer(self.bounds.body_seconds, self._body_late)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_timer()
        super().on_message_complete()
        # What was fed so far belonged to the message that ended.
        self._in_head = self._turned = True
        self._head_fed = 0

    def _check_head(self) -> None:
        if not self.url.startswith(b"/"):
            self._refuse("the target is not a path")
        names = [name for name, _ in self.headers]
        if names.count(b"host") != 1:
            self._refuse("not exactly one Host")
        if b"transfer-encoding" in names and b"content-length" in names:
            self._refuse("both a length and a transfer coding")
        if self.parser.should_upgrade():
            self._refuse("another protocol is asked for, and what follows could be of either")
        if names.count(b"transfer-encoding") > 1 or names.count(b"content-length") > 1:
            self._refuse("two lengths")

    def _refuse(self, why: str) -> None:
        # An exception in a callback is how the parser is stopped: its feeder answers 400 and closes.
        raise httptools.HttpParserError(why)

    def _await_head(self) -> None:
        self._head_fed = 0
        self._start_timer(self.bounds.head_seconds, self._head_late)

    def _head_late(self) -> None:
        self._cut(b"408 Request Timeout")

    def _body_late(self) -> None:
        self._cut(b"408 Request Timeout")

    def _cut(self, status: bytes) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answering or not self.cycle.response_started:
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        if answering:
            # Nothing of the answer that is under way may follow what was just written.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _look_again(self, held: int) -> None:
        self._stop_stall()
        self._stall = self.loop.call_later(self.bounds.stall_seconds, self._stalled, held)

    def _stalled(self, held: int) -> None:
        now = undelivered(self.transport)
        if now < held:
            # Slowly, but the client reads.
            self._look_again(now)
        else:
            # Not `close`, which would wait for the client to read what is still to be delivered.
            self.transport.abort()

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _start_timer(self, seconds: float, late: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def bounded(bounds: Bounds) -> type[BoundedProtocol]:
    """The protocol with other bounds: uvicorn makes its instances itself, from a class."""
    return type("BoundedProtocol", (BoundedProtocol,), {"bounds": bounds})
