"""One request to an upstream and what is heard of it until it is answered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shim.errors import Refusal
from shim.jsontext import dump
from shim.model import Call, Json, JsonObject, Listener, Question, Reply, Response
from shim.upstream.failures import timed_out, unavailable

PATIENCE = 10
"""A call lasts at most this many times its timeout, however much progress is reported."""

_WAITING = 64
_BURST = 500.0
_PER_SECOND = 100.0

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""RFC 5424 severities as MCP names them, least severe first."""


class Asked(Protocol):
    """Takes what the upstream asks in the middle of a call. Never waits: see `shim.upstream.questions.Questions`."""

    def put(
        self, exchange: Exchange, id_: str | int, request: JsonObject, say: Callable[[Response], None], /
    ) -> Question | None: ...

    def withdraw(self, id_: Json, /) -> None: ...

    def completed(self, params: JsonObject, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as it goes to an upstream. `params` are complete for the upstream's era, but for the progress token.

    `timeout` in seconds, anew at each progress notice; `limit` in bytes of the whole answer. `progress`: the caller
    wants progress. `level`: the least severity of log messages that the caller wants; None: whatever comes, "off":
    none. `name` and `headers` go to HTTP upstreams only, in headers. `invocation` names the call in the record; `call`
    is all that is known of it, for sessions whose other side may know whom it serves.
    `asked` takes the upstream's questions; None: none may be asked.
    `heard` is told what a stream of notices is for (method and params), and returns.
    """

    method: str
    params: JsonObject = field(repr=False)
    timeout: float
    limit: int
    listener: Listener | None = None
    progress: bool = False
    level: str | None = "off"
    name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    invocation: str | None = None
    call: Call | None = field(default=None, repr=False)
    asked: Asked | None = None
    heard: Callable[[str, JsonObject], None] | None = None

    def line(self, id_: int) -> bytes:
        """The request's JSON text under this id; the same id is its progress token."""
        params = self.params
        if self.progress:
            params = {**params, "_meta": {**params.get("_meta", {}), "progressToken": id_}}
        return dump({"jsonrpc": "2.0", "id": id_, "method": self.method, "params": params})

    def hears(self, message: JsonObject) -> bool:
        """Whether a log message is severe enough for the caller."""
        if self.level is None:
            return True
        level = message.get("level")
        return self.level in LEVELS and level in LEVELS and LEVELS.index(level) >= LEVELS.index(self.level)


class Allowance:
    """So many at once, and so many a second after that. `spend` says whether one more is allowed."""

    __slots__ = ("_burst", "_last", "_left", "_per_second", "_time")

    def __init__(self, burst: float, per_second: float, time: Callable[[], float]) -> None:
        self._burst, self._per_second, self._time = burst, per_second, time
        self._left, self._last = burst, time()

    def spend(self) -> bool:
        now = self._time()
        self._left = min(self._burst, self._left + (now - self._last) * self._per_second)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Exchange:
    """Waits for one answer. Whoever reads from the upstream calls `answer`, `fail`, `progress` and `log`, never waits.

    Notices are delivered by the task that made the call, in order and before the answer, so that a listener that is
    slow delays nobody else; when too many wait, the oldest are dropped.
    """

    __slots__ = (
        "_allowance",
        "_clock",
        "_end",
        "_failure",
        "_held",
        "_held_since",
        "_name",
        "_notices",
        "_wake",
        "ask",
        "bound",
        "id",
        "reply",
        "sent",
    )

    def __init__(self, name: str, id_: int, ask: Ask) -> None:
        self.id = id_
        self.ask = ask
        self.sent = False
        # Whether its answer can only come on the stream that answers its own POST.
        self.bound = False
        self.reply: Reply | None = None
        self._name = name
        self._failure: Refusal | None = None
        self._notices: deque[tuple[str, JsonObject]] = deque(maxlen=_WAITING)
        self._wake: asyncio.Future[None] | None = None
        self._clock: asyncio.Timeout | None = None
        self._end = 0.0
        self._held = 0
        self._held_since = 0.0
        self._allowance: Allowance | None = None

    @property
    def over(self) -> bool:
        """Whether there is nothing left that the upstream could be told to stop."""
        return self.reply is not None or self._failure is not None

    @property
    def noticed(self) -> bool:
        """Whether notices wait to be delivered."""
        return bool(self._notices)

    def answer(self, reply: Reply) -> None:
        if not self.over:
            self.reply = reply
            self._notify()

    def fail(self, failure: Refusal) -> None:
        if not self.over:
            self._failure = failure
            self._notify()

    def progress(self, params: JsonObject) -> None:
        """The upstream works: the timeout starts anew, up to the limit of all patience."""
        clock = self._clock
        if clock is not None and not clock.expired() and not self._held:
            clock.reschedule(min(asyncio.get_running_loop().time() + self.ask.timeout, self._end))
        if self.ask.progress:
            self._notice("progress", params)

    def hold(self) -> None:
        """The upstream waits for an answer: until `go_on` no time passes that is its own."""
        self._held += 1
        if self._held == 1:
            self._held_since = asyncio.get_running_loop().time()
            if self._clock is not None and not self._clock.expired():
                self._clock.reschedule(None)

    def go_on(self) -> None:
        """The upstream has an answer; when it waits for none any more, its time starts anew."""
        self._held -= 1
        if self._held == 0:
            now = asyncio.get_running_loop().time()
            self._end += now - self._held_since
            if self._clock is not None and not self._clock.expired():
                self._clock.reschedule(min(now + self.ask.timeout, self._end))

    def log(self, params: JsonObject) -> None:
        if self.ask.hears(params):
            self._notice("log", params)

    def _notice(self, kind: str, params: JsonObject) -> None:
        if self.ask.listener is None:
            return
        if self._allowance is None:
            self._allowance = Allowance(_BURST, _PER_SECOND, asyncio.get_running_loop().time)
        if self._allowance.spend():
            self._notices.append((kind, params))
            self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def deliver(self) -> None:
        """Hand the waiting notices to the listener."""
        listener = self.ask.listener
        while self._notices and listener is not None:
            kind, params = self._notices.popleft()
            await (listener.progress(params) if kind == "progress" else listener.log(params))

    async def arrived(self) -> Reply:
        """The answer, once whoever reads has seen it; notices are delivered on the way."""
        while True:
            await self.deliver()
            if self._failure is not None:
                raise self._failure
            if self.reply is not None:
                return self.reply
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake

    async def within(self, work: Callable[[Exchange], Awaitable[Reply]]) -> Reply:
        """The outcome of `work`, in time: an answer that is already there wins over the timeout.

        Raises UpstreamTimeout, or UpstreamUnavailable when nothing had been sent by then.
        """
        timeout = self.ask.timeout
        self._end = asyncio.get_running_loop().time() + timeout * PATIENCE
        try:
            async with asyncio.timeout(timeout) as self._clock:
                return await work(self)
        except TimeoutError:
            if self.reply is not None:
                return self.reply
            if not self.sent:
                raise unavailable(self._name, f"it did not take the call within {timeout:g} s") from None
            raise timed_out(self._name, timeout) from None
        finally:
            self._clock = None
