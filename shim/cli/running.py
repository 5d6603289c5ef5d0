"""Running what is asynchronous from a verb."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TypeVar

import uvloop

T = TypeVar("T")


class Terminated(Exception):
    """SIGTERM came, and everything that ran has been ended in good order."""


def run(main: Coroutine[object, object, T]) -> T:
    """Run to the end. Ctrl-C and SIGTERM cancel, so that outcomes are recorded and children ended before we leave.

    Raises KeyboardInterrupt and Terminated then.
    """

    async def supervised() -> T:
        task = asyncio.current_task()
        terminated = False

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            if task is not None:
                task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        try:
            return await main
        except asyncio.CancelledError:
            if terminated:
                raise Terminated from None
            raise

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(supervised())


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[object, object, None]]) -> None:
    """Run a server. The first SIGINT or SIGTERM sets its event, so that running calls may end; a second cancels it."""

    async def supervised() -> None:
        stop = asyncio.Event()
        task = asyncio.current_task()

        def asked() -> None:
            if stop.is_set() and task is not None:
                task.cancel()
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, asked)
        await main(stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(supervised())
