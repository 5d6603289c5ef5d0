"""Running what is asynchronous from a verb, and ending it well when somebody says stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TypeVar

import uvloop

from shim.cli.errors import problem

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """Run to the end. Ctrl-C and SIGTERM cancel, so that outcomes are recorded and children ended before we leave.

    Raises Stop then.
    """

    async def supervised() -> T:
        cancel = _cancelling()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, cancel)
        try:
            return await main
        except asyncio.CancelledError:
            raise problem("interrupted") from None

    return _run(supervised())


def serve(main: Callable[[asyncio.Event], Coroutine[object, object, None]]) -> None:
    """Run what serves until its event is set. Ctrl-C or SIGTERM sets it; another Ctrl-C is for who cannot wait.

    Raises Stop then.
    """

    async def supervised() -> None:
        stop = asyncio.Event()
        cancel = _cancelling()
        loop = asyncio.get_running_loop()
        # Not a second SIGTERM: who stops a group of processes may well send it twice, and means one good end.
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, lambda: cancel() if stop.is_set() else stop.set())
        try:
            await main(stop)
        except asyncio.CancelledError:
            raise problem("interrupted before all calls had ended") from None

    _run(supervised())


def _run(main: Coroutine[object, object, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _cancelling() -> Callable[[], object]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("to be called from a task")
    return task.cancel
