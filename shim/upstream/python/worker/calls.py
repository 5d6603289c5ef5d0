"""The calls that are in flight: each is begun, may be cancelled, and is over once its function has returned."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
import threading
import traceback
from collections.abc import Awaitable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .context import Context

if TYPE_CHECKING:
    # Needs packages that this interpreter may not have.
    from .functions import Function

INVALID = -32602
_CALL, _INJECT = "io.github.mcp-shim/call", "io.github.mcp-shim/inject"
_UNFIT = "io.github.mcp-shim/unfit"
"""In the answer to a call that was not made, because of its arguments."""
_AT_ONCE = 32
_LONGEST = 4000


class Refused(Exception):
    """A request that gets an error of the protocol. `str()` is its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Answers(Protocol):
    """Whatever takes the answers."""

    def say(self, message: dict[str, Any]) -> None: ...

    def answer(self, id_: Any, result: dict[str, Any]) -> None: ...


@dataclass(eq=False)
class _Running:
    id: Any
    function: Function
    params: dict[str, Any]
    cancelled: threading.Event = field(default_factory=threading.Event)
    work: Future[None] | None = None
    task: asyncio.Task[None] | None = None
    bridge: Future[Any] | None = None
    waiting: list[Any] = field(default_factory=list)

    @property
    def meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = self.params.get("_meta") or {}
        return meta

    @property
    def invocation(self) -> Any:
        return self.meta.get(_CALL, {}).get("invocation")


class Calls:
    """All may be used from any thread. What is not `async` runs in threads, so many at once; others wait."""

    def __init__(self, answers: Answers, loop: asyncio.AbstractEventLoop) -> None:
        self.definitions: list[dict[str, Any]] = []
        self.source = ""
        self._functions: dict[str, Function] = {}
        self._answers = answers
        self._loop = loop
        self._threads = ThreadPoolExecutor(_AT_ONCE, "call")
        self._running: dict[Any, _Running] = {}
        self._changed = threading.Condition()

    def serve(self, functions: dict[str, Function]) -> None:
        """From now on these can be called."""
        self._functions = functions
        self.definitions = [one.definition for one in functions.values()]
        self.source = "\n".join(one.source for one in functions.values())

    def begin(self, id_: Any, params: dict[str, Any]) -> None:
        """Begin a call. Raises Refused."""
        function = self._functions.get(params["name"])
        if function is None:
            raise Refused(INVALID, f"Unknown tool: {params['name']}")
        running = _Running(id_, function, params)
        with self._changed:
            self._running[id_] = running
        if function.is_async:
            self._loop.call_soon_threadsafe(self._start, running)
        else:
            running.work = self._threads.submit(contextvars.Context().run, self._run, running)

    def cancel(self, id_: Any) -> None:
        """Nobody waits for this one any more."""
        running = self._running.get(id_)
        if running is None:
            return
        running.cancelled.set()
        if running.function.is_async:
            self._loop.call_soon_threadsafe(self._stop, running)
        elif running.work is not None and running.work.cancel():
            self._finish(running, None)
        elif running.bridge is not None:
            running.bridge.cancel()

    def tell_when_over(self, invocation: Any, id_: Any) -> None:
        """Answer this request once no call of this invocation is running: at once where none is."""
        with self._changed:
            for running in self._running.values():
                if running.invocation == invocation:
                    running.waiting.append(id_)
                    return
        self._answers.answer(id_, {})

    def end(self, within: float) -> bool:
        """Cancel all; whether all are over within so many seconds."""
        for id_ in list(self._running):
            self.cancel(id_)
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, within)

    def _run(self, running: _Running) -> None:
        result: dict[str, Any] | None
        try:
            values, named = self._taken(running)
            value = running.function.call(*values, **named)
            if inspect.isawaitable(value):
                # Such as a decorator that is not `async` around a function that is.
                value = self._awaited(running, value)
            result = running.function.giving.given(value)
        except BaseException as error:  # noqa: BLE001 (whatever a function raises is its answer)
            result = self._failed(running, error)
        self._finish(running, result)

    def _awaited(self, running: _Running, value: Awaitable[Any]) -> Any:
        async def result() -> Any:
            return await value

        running.bridge = asyncio.run_coroutine_threadsafe(result(), self._loop)
        if running.cancelled.is_set():
            running.bridge.cancel()
        return running.bridge.result()

    def _start(self, running: _Running) -> None:
        running.task = self._loop.create_task(self._await(running))
        if running.cancelled.is_set():
            running.task.cancel()

    def _stop(self, running: _Running) -> None:
        if running.task is not None:
            running.task.cancel()

    async def _await(self, running: _Running) -> None:
        result: dict[str, Any] | None
        try:
            values, named = self._taken(running)
            result = running.function.giving.given(await running.function.call(*values, **named))
        except BaseException as error:  # noqa: BLE001 (see above)
            result = self._failed(running, error)
        self._finish(running, result)

    def _taken(self, running: _Running) -> tuple[list[Any], dict[str, Any]]:
        token, function = running.meta.get("progressToken"), running.function

        def progress(done: float, total: float | None, message: str | None) -> None:
            if token is None or running.cancelled.is_set() or running.id not in self._running:
                return
            said: dict[str, Any] = {"progressToken": token, "progress": done}
            said |= {"total": total} if total is not None else {}
            said |= {"message": message} if message is not None else {}
            self._answers.say({"method": "notifications/progress", "params": said})

        context = Context(running.meta.get(_CALL, {}), function.name, running.cancelled, progress)
        return function.taking.taken(running.params.get("arguments") or {}, running.meta.get(_INJECT, {}), context)

    def _failed(self, running: _Running, error: BaseException) -> dict[str, Any] | None:
        """What a call that raised is answered with; None where nobody waits for it."""
        from .giving import Unsayable
        from .taking import PutIn, Unfit

        if isinstance(error, Unfit):
            return _unfit(str(error))
        if isinstance(error, PutIn):
            sys.stderr.write(f"{running.function.name} was not called, for what is put in does not fit: {error}\n")
            return _unfit("What whoever runs this server puts into calls of the tool is unfit.")
        if isinstance(error, Unsayable):
            return _error(f"The function ran, but {error}.")
        if running.cancelled.is_set() and isinstance(error, asyncio.CancelledError):
            return None
        try:
            # In one piece: lines of several calls would be mixed.
            sys.stderr.write("".join(traceback.format_exception(error)))
            text = f"{type(error).__name__}: {error}"
        except BaseException:  # noqa: BLE001 (its own words may fail, too, and nobody else would answer then)
            text = type(error).__name__
        for value in running.meta.get(_INJECT, {}).values():
            text = text.replace(value, "[hidden]") if value else text
        return _error(text[:_LONGEST])

    def _finish(self, running: _Running, result: dict[str, Any] | None) -> None:
        if result is not None and not running.cancelled.is_set():
            self._answers.answer(running.id, result)
        with self._changed:
            self._running.pop(running.id, None)
            self._changed.notify_all()
        for id_ in running.waiting:
            self._answers.answer(id_, {})


def _error(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": True}


def _unfit(text: str) -> dict[str, Any]:
    return {**_error(text), "_meta": {_UNFIT: True}}
