"""One client over standard input and output, in the era of its first request (MCP, "stdio").

The loop never waits for either end: input is read by a thread that a full queue holds back, output that does not fit is
written by one. What the client sends is read by the strict reader before the SDK sees it; what it does not take for a
message is answered here.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PROTOCOL_VERSION_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from mcp_types.version import LATEST_HANDSHAKE_VERSION

from shim import jsontext
from shim.errors import Unauthenticated
from shim.generation import Prove, Sender
from shim.model import Caller, JsonObject
from shim.server import _sdk
from shim.server.exchange import encode_error
from shim.server.face import Face
from shim.server.message import BadMessage, Message, client_of, read
from shim.server.middleware import Origin, SdkMiddleware
from shim.server.sessions import Sessions
from shim.server.shapes import error_object

_CHUNK = 65536
_AHEAD = 4
"""Chunks that are read before anyone takes them."""

LINGER_SECONDS = 2.0
"""How long calls that run when the input ends may take to finish."""


@contextmanager
def claimed() -> Iterator[tuple[int, int]]:
    """Standard input and output for the protocol alone, as two descriptors.

    Meanwhile descriptor 0 reads nothing and descriptor 1 is standard error, for whatever else reads or prints.
    """
    reading, writing = os.dup(0), os.dup(1)
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        yield reading, writing
    finally:
        # What was printed meanwhile and is still held back belongs to standard error too.
        sys.stdout.flush()
        os.dup2(writing, 1)
        os.dup2(reading, 0)
        for descriptor in (nothing, writing):
            os.close(descriptor)
        # `reading` stays open: a thread may still wait on it, and its number must not become another file's.


async def serve_stdio(
    face: Face,
    prove: Prove,
    *,
    session: str,
    reading: int,
    writing: int,
    max_request: int,
    stop: asyncio.Event,
    linger: float = LINGER_SECONDS,
) -> None:
    """Serve until the input ends or `stop` is set, and then until running calls end, `linger` seconds at most.

    `prove` shows the client's credential, which it showed only once, anew for each message. `session` names this
    process for its runs; `max_request` bounds a line, in bytes. Returns when the client is gone.
    """
    connection = _Connection(face, prove, session, writing)
    sessions = Sessions(face.current)
    middleware = SdkMiddleware(face, sessions)
    server = _sdk.raw_server(face.name, face.version, middleware)
    to_server, server_reads, server_writes, from_server = _sdk.streams()

    async with anyio.create_task_group() as group:

        async def stopping() -> None:
            await stop.wait()
            await finish()

        async def finish() -> None:
            face.closing.begin()
            with anyio.move_on_after(linger):
                await connection.settled()
            group.cancel_scope.cancel()

        async def pump() -> None:
            async for line in lines(reading, max_request):
                await connection.take(line, to_server)
            await finish()

        group.start_soon(sessions.announce)
        group.start_soon(stopping)
        group.start_soon(pump)
        group.start_soon(connection.deliver, from_server, group.cancel_scope)
        async with face.holding.running():
            await _sdk.serve_streams(server, server_reads, server_writes)


class _Connection:
    """Owns which requests are not yet answered, and the order of what is written."""

    def __init__(self, face: Face, prove: Prove, session: str, writing: int) -> None:
        self._face = face
        self._prove = prove
        self._session = session
        self._writing = writing
        self._lock = anyio.Lock()
        self._modern: bool | None = None
        self._running: set[str] = set()
        self._idle = anyio.Event()

    async def take(
        self, line: bytes | None, to_server: MemoryObjectSendStream[_sdk.SessionMessage | Exception]
    ) -> None:
        """Hand one line to the server, or answer it where it is no message. None stands for a line that is too long."""
        message: Message | BadMessage = BadMessage(INVALID_REQUEST, "Invalid Request: the line is too long")
        if line is not None:
            try:
                message = read(line)
            except BadMessage as error:
                message = error
        try:
            sender = self._face.current.sender(self._prove)
        except Unauthenticated:
            # No longer a known identity: that is not its event, and nothing of it is done.
            if message.id is not None:
                await self._write(encode_error(message.id, error_object(INVALID_REQUEST, "Authentication required")))
            return
        if isinstance(message, BadMessage):
            await self._refuse(message, sender, None)
            return
        if message.method is None:
            await to_server.send(_sdk.incoming_answer(message.id, message.raw))
            return
        if message.id is not None:
            fault = self._out_of_era(message)
            if fault is not None:
                await self._refuse(fault, sender, message)
                return
            # The server keeps requests by their ids as text, so 7 and "7" would be one.
            if str(message.id) in self._running:
                repeated = BadMessage(INVALID_REQUEST, "Invalid Request: this id is in use", message.id, message.method)
                await self._refuse(repeated, sender, message)
                return
            self._running.add(str(message.id))
        elif message.method == "notifications/cancelled":
            self._ended(message.params.get("requestId"))
        origin = Origin(sender, "stdio", None, self._session, message)
        await to_server.send(_sdk.incoming(message.id, message.method, _routing(message), origin))

    def _out_of_era(self, message: Message) -> BadMessage | None:
        """What is wrong with a request in the era of this connection, which its first request fixes.

        The server would refuse these too, but out of sight of the record. A version that is not served, and a
        handshake on a modern connection, are left to it: clients find out so what there is.
        """
        enveloped = PROTOCOL_VERSION_META_KEY in message.meta
        if message.method == "initialize":
            self._modern = self._modern or False
            return None
        modern = enveloped if self._modern is None else self._modern
        if not modern and enveloped:
            sentence = "Invalid Request: this connection was opened with the handshake of an earlier revision"
            return BadMessage(INVALID_REQUEST, sentence, message.id, message.method)
        if modern:
            verdict = classify_inbound_request(message.raw)
            if isinstance(verdict, InboundLadderRejection) and verdict.code != UNSUPPORTED_PROTOCOL_VERSION:
                return BadMessage(verdict.code, verdict.message, message.id, message.method)
            if not isinstance(message.meta.get(CLIENT_CAPABILITIES_META_KEY), dict):
                sentence = "Invalid params: clientCapabilities must be an object"
                return BadMessage(INVALID_PARAMS, sentence, message.id, message.method)
        self._modern = modern
        return None

    async def _refuse(self, error: BadMessage, sender: Sender, message: Message | None) -> None:
        await sender.generation.gateway.refuse(self._caller(sender, message), error.method, error)
        await self._write(encode_error(error.id, error_object(error.code, str(error))))

    def _caller(self, sender: Sender, message: Message | None) -> Caller:
        protocol = message.meta.get(PROTOCOL_VERSION_META_KEY) if message is not None else None
        client = client_of(message.params.get("clientInfo")) if message is not None else None
        spoken = protocol if isinstance(protocol, str) else LATEST_HANDSHAKE_VERSION
        return Caller(sender.credential, "stdio", spoken, client, None, self._session)

    async def deliver(
        self, from_server: MemoryObjectReceiveStream[_sdk.SessionMessage], scope: anyio.CancelScope
    ) -> None:
        """Write what the server says until either is gone; a client that is gone ends everything."""
        async for message in from_server:
            envelope = _sdk.encoded(message)
            if "method" not in envelope:
                # Before it is written: whoever has the answer may use the id again.
                self._ended(envelope["id"])
            try:
                await self._write(jsontext.dump(envelope))
            except OSError:
                scope.cancel()
                return

    async def settled(self) -> None:
        """Return when every request is answered or cancelled, and the last answer is written."""
        while self._running:
            self._idle = anyio.Event()
            await self._idle.wait()
        async with self._lock:
            pass

    def _ended(self, id_: object) -> None:
        if isinstance(id_, str | int):
            self._running.discard(str(id_))
            if not self._running:
                self._idle.set()

    async def _write(self, message: bytes) -> None:
        line = message + b"\n"
        async with self._lock:
            # POSIX: a pipe that can be written to takes so many bytes at once.
            if len(line) <= select.PIPE_BUF and select.select((), (self._writing,), (), 0)[1]:
                os.write(self._writing, line)
            else:
                await anyio.to_thread.run_sync(_write_all, self._writing, line, abandon_on_cancel=True)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _routing(message: Message) -> JsonObject | None:
    """The params that the SDK needs: those of the handshake, those it cancels by, and the envelope's fields."""
    if message.method in ("initialize", "notifications/cancelled"):
        return message.params
    return {"_meta": message.meta} if message.meta else None


async def lines(descriptor: int, bound: int) -> AsyncIterator[bytes | None]:
    """The lines of an input without their ends, blank ones left out; None in the place of one over `bound` bytes."""
    held = bytearray()
    skipping = False
    async for chunk in _chunks(descriptor):
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            held += piece
            if not skipping and len(held) > bound:
                yield None
            elif not skipping and held.strip():
                yield bytes(held)
            held.clear()
            skipping = False
        if not skipping:
            held += rest
            if len(held) > bound:
                yield None
                held.clear()
                skipping = True
    if held.strip():
        yield bytes(held)


async def _chunks(descriptor: int) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)

    def put(chunk: bytes) -> None:
        # A loop that was closed meanwhile has no use for it.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, chunk)

    threading.Thread(target=_read_all, args=(descriptor, room, put), name="stdin", daemon=True).start()
    while chunk := await queue.get():
        room.release()
        yield chunk


def _read_all(descriptor: int, room: threading.Semaphore, put: Callable[[bytes], None]) -> None:
    while True:
        room.acquire()
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError:
            chunk = b""
        put(chunk)
        if not chunk:
            return
