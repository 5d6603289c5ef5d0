"""Running what is asynchronous from a verb, and ending it well when somebody says stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TypeVar

import uvloop

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """A signal ended what ran, and it was ended in good order."""


def run(main: Coroutine[object, object, T]) -> T:
    """Run to the end. Ctrl-C and SIGTERM cancel, so that outcomes are recorded and children ended before we leave.

    Raises Interrupted then.
    """

    async def supervised() -> T:
        cancel = _cancelling()
        _on_signals(cancel)
        try:
            return await main
        except asyncio.CancelledError:
            raise Interrupted from None

    return _run(supervised())


def serve(main: Callable[[asyncio.Event], Coroutine[object, object, None]]) -> None:
    """Run what serves until its event is set. The first Ctrl-C or SIGTERM sets it, a second one cancels."""

    async def supervised() -> None:
        stop = asyncio.Event()
        cancel = _cancelling()
        _on_signals(lambda: cancel() if stop.is_set() else stop.set())
        try:
            await main(stop)
        except asyncio.CancelledError:
            raise Interrupted from None

    _run(supervised())


def _run(main: Coroutine[object, object, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _cancelling() -> Callable[[], object]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("to be called from a task")
    return task.cancel


def _on_signals(act: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, act)
