"""Progress and log messages of one running call, on their way to its client."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, get_args

import anyio
from mcp_types import LoggingLevel

from shim.errors import Unanswered
from shim.meta import without_own
from shim.model import Json, JsonObject, Question, Response

LEVELS: tuple[str, ...] = get_args(LoggingLevel)
"""Log levels, mildest first."""

KEPT = 256

Deliver: TypeAlias = Callable[[str, JsonObject], Awaitable[None]]
"""Sends one notification (method, params) to the client, however long that takes."""


Start: TypeAlias = Callable[[Callable[[anyio.Event], Coroutine[Any, Any, None]], anyio.Event], object]
"""Runs a function with one argument in a task of the call's own."""


Ask: TypeAlias = Callable[[Question], Awaitable[Response]]
"""Puts a question to the client and awaits its answer."""


class Notices:
    """A `Listener` that never makes an upstream wait for a client.

    Notices are delivered in order by a task beside the call, which `start` makes. A client that reads too slowly misses
    those that do not fit into a queue of 256. `token` is the client's progress token (None: it asked for none); `level`
    the mildest log level it wants (None: it wants none). `ask` reaches a client that takes requests, `aside` one that
    hears of things after the call.
    """

    __slots__ = ("_aside", "_ask", "_closed", "_deliver", "_idle", "_levels", "_queue", "_start", "_token")

    def __init__(
        self,
        start: Start,
        deliver: Deliver,
        *,
        token: Json,
        level: str | None,
        ask: Ask | None = None,
        aside: Deliver | None = None,
    ) -> None:
        self._start = start
        self._deliver = deliver
        self._token = token
        self._levels = LEVELS[LEVELS.index(level) :] if level is not None else ()
        self._queue: deque[tuple[str, JsonObject]] = deque()
        self._idle: anyio.Event | None = None
        self._closed = False
        self._ask = ask
        self._aside = aside

    async def progress(self, params: JsonObject) -> None:
        if self._token is not None:
            self._put("notifications/progress", {**without_own(params), "progressToken": self._token})

    async def log(self, params: JsonObject) -> None:
        if params.get("level") in self._levels:
            self._put("notifications/message", without_own(params))

    async def ask(self, question: Question) -> Response:
        if self._ask is None:
            raise Unanswered("the client cannot be asked here")
        return await self._ask(question)

    async def completed(self, params: JsonObject) -> None:
        if self._aside is not None:
            await self._aside("notifications/elicitation/complete", without_own(params))

    async def close(self) -> None:
        """Take no more, and return when those that came are delivered."""
        self._closed = True
        while self._idle is not None:
            await self._idle.wait()

    def _put(self, method: str, params: JsonObject) -> None:
        if self._closed or len(self._queue) >= KEPT:
            return
        self._queue.append((method, params))
        if self._idle is None:
            self._idle = anyio.Event()
            self._start(self._pump, self._idle)

    async def _pump(self, idle: anyio.Event) -> None:
        try:
            while self._queue:
                await self._deliver(*self._queue.popleft())
        finally:
            self._idle = None
            idle.set()
