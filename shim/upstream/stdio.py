"""One session with an MCP server over the standard streams of a child process; both eras use the same lines."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import Callable

import anyio

from shim.errors import InvalidText, Refusal
from shim.jsontext import dump
from shim.model import JsonObject, Reply
from shim.upstream.child import Child
from shim.upstream.exchange import Ask, Exchange
from shim.upstream.failures import fault, too_large, unavailable, unknown
from shim.upstream.guarding import Guards
from shim.upstream.inbox import Inbox, Watcher
from shim.upstream.lines import Lines, TooLong
from shim.upstream.pace import Pace, Turn, pieces
from shim.upstream.program import CannotStart, Program
from shim.upstream.session import Peer, Spawn

_DISCARDED = 256 * 1024 * 1024
_UNREAD = 1024 * 1024
_EXIT = 0.5

# Where servers write the id: right after the version, or at the end of the line.
_ID_FIRST = re.compile(rb'\A\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*,')
_ID_LAST = re.compile(
    rb'[}\]]\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z'
)


class StdioSession:
    """Many calls at once over one child. None waits for another; a child that reads or writes no more delays nobody.

    `limit` bounds a line in memory: what is longer is skipped as it comes, and the call it answers gets ResultTooLarge.
    """

    def __init__(self, name: str, child: Child, watcher: Watcher, limit: int, pace: Pace) -> None:
        self.peer: Peer | None = None
        self.ended = asyncio.Event()
        self._name = name
        self._child = child
        self._limit = limit
        self._log = logging.getLogger(f"shim.upstream.{name}")
        self._ids = itertools.count(1)
        self._writing = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._lines = Lines(limit)
        self._turn = Turn(pace)
        self.inbox = Inbox(name, watcher, self._say)

    @classmethod
    async def start(
        cls,
        name: str,
        what: Program,
        watcher: Watcher,
        limit: int,
        pace: Pace,
        guards: Guards,
        spawn: Spawn,
        hide: Callable[[str], str],
    ) -> StdioSession:
        """Start the program; nothing has been said to it yet. Raises UpstreamUnavailable."""
        try:
            child = await guards.start(name, what, hide)
        except CannotStart as error:
            raise unavailable(name, str(error)) from None
        session = cls(name, child, watcher, limit, pace)
        spawn(session._run)
        return session

    @property
    def alive(self) -> bool:
        child = self._child
        return not (self._stopping.is_set() or child.exited.done() or child.input.lost.is_set())

    async def request(self, ask: Ask) -> Reply:
        """Send one request and await its answer. Raises the Refusals; when left early, the upstream is told."""
        exchange = Exchange(self._name, next(self._ids), ask)
        if self.ended.is_set() or self._stopping.is_set():
            raise self._gone(sent=False)
        self.inbox.expect(exchange)
        try:
            return await exchange.within(self._exchange)
        finally:
            self.inbox.forget(exchange)
            if exchange.sent and not exchange.over and ask.method != "initialize":
                self._say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": exchange.id}})

    async def _exchange(self, exchange: Exchange) -> Reply:
        line = exchange.ask.line(exchange.id) + b"\n"
        async with self._writing:
            try:
                await self._child.input.writable()
            except BrokenPipeError:
                raise self._gone(sent=False) from None
            if exchange.over:
                return await exchange.arrived()
            exchange.sent = True
            self._child.input.write(line)
        return await exchange.arrived()

    async def notify(self, method: str) -> None:
        """Send a notice that has no params."""
        self._say({"jsonrpc": "2.0", "method": method})

    async def opened(self) -> None:
        """Nothing more to prepare over stdio once the handshake is done."""

    async def close(self) -> None:
        """End the child and all that it started. Bounded in time; calls still in flight fail."""
        self._stopping.set()
        await self.ended.wait()

    def _say(self, message: JsonObject) -> None:
        # Without waiting, so also on the way out of a cancelled call; what a child does not read stays bounded.
        if self._child.input.unread < _UNREAD and not self.ended.is_set():
            self._child.input.write(dump(message) + b"\n")

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._until_stopped, group.cancel_scope)
                group.start_soon(self._until_deaf, group.cancel_scope)
                await self._read()
                # So that it can be said with which status it ended, and why.
                await self._child.finished(_EXIT)
                group.cancel_scope.cancel()
        finally:
            self._stopping.set()
            self._fail_all()
            with anyio.CancelScope(shield=True):
                await self._child.stop()
            self.ended.set()

    async def _until_stopped(self, scope: anyio.CancelScope) -> None:
        await self._stopping.wait()
        scope.cancel()

    async def _until_deaf(self, scope: anyio.CancelScope) -> None:
        # What can be asked nothing more is of no use; it may be about to end, and answer what it was asked before.
        await self._child.input.lost.wait()
        await self._child.finished(_EXIT)
        scope.cancel()

    async def _read(self) -> None:
        while chunk := await self._child.output.read():
            self._turn.begin()
            for piece in pieces(chunk):
                for line in self._lines.feed(piece):
                    if isinstance(line, TooLong):
                        self._skipped(line)
                    elif line:
                        await self._take(line)
                        await self._turn.step()
                await self._turn.step()
            await self._turn.end()
            if self._lines.pending > _DISCARDED:
                self._log.error("the upstream writes one endless line; its session is ended")
                return

    async def _take(self, line: bytes) -> None:
        try:
            message = await self._turn.parsed(line)
        except InvalidText as error:
            exchange = self._guess(line[:4096], line[-4096:])
            if exchange is None:
                self.inbox.odd(f"a line that is not a message: {error}")
            else:
                exchange.fail(fault(self._name, "sent an answer that is not valid JSON"))
            return
        for one in message if isinstance(message, list) else [message]:
            self.inbox.take(one, len(line))

    def _skipped(self, line: TooLong) -> None:
        exchange = self._guess(line.head, line.tail)
        if exchange is None:
            self.inbox.odd(f"a line of {line.length} bytes that answers no call by its looks")
        else:
            exchange.fail(too_large(self._name, exchange.ask.limit))

    def _guess(self, head: bytes, tail: bytes) -> Exchange | None:
        """The exchange that a line which cannot be read as a whole seems to answer."""
        if not head.lstrip().startswith(b"{"):
            return None
        match = _ID_FIRST.search(head) or _ID_LAST.search(tail)
        return self.inbox.waits(int(match[1])) if match is not None else None

    def _fail_all(self) -> None:
        for exchange in self.inbox.waiting:
            exchange.fail(self._gone(sent=exchange.sent))

    def _gone(self, *, sent: bool) -> Refusal:
        if sent:
            return unknown(self._name)
        return unavailable(self._name, self.why)

    @property
    def why(self) -> str:
        """Why the session is over."""
        if self._child.code is not None:
            return f"its process ended with status {self._child.code}"
        return "it reads no requests any more" if self._child.input.lost.is_set() else "its process ended"

    @property
    def said(self) -> str | None:
        """The line on its stderr that seems to say why."""
        return self._child.complaints.reason
