"""Tasks that run beside one request and end with it: a task group that costs nothing until a task is needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

_log = logging.getLogger("shim.server")


class Beside:
    """An async context manager that owns the tasks started through it. Leaving cancels them and waits for their end.

    A fault in one is logged and ends that one alone: none of them decides what the request is answered.
    """

    __slots__ = ("_tasks", "_timer")

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self, run: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Run `run(*args)` now."""
        self._tasks.append(asyncio.get_running_loop().create_task(run(*args)))

    def start_later(self, seconds: float, run: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Run it after a while, unless the request has ended by then. Once for each request."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self.start, run, *args)

    async def __aenter__(self) -> Beside:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for task in self._tasks:
            if not task.cancelled() and (fault := task.exception()) is not None:
                _log.error("a task beside a request failed", exc_info=fault)
