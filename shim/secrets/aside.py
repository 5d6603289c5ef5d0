"""Blocking work beside the event loop, that may hang without hanging anything else."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from shim.secrets.source import Unavailable

T = TypeVar("T")

_MOST = 64


class Aside(Generic[T]):
    """Runs work in threads, a fresh one each: one that hangs for good delays no other, nor the end of the process.

    A pool's threads are waited for when a process ends, and a keyring that waits for a person may take for ever. At
    most 64 are at work at once; what hangs counts among them for as long as it does.
    """

    def __init__(self, what: str) -> None:
        """`what` is asked, in the words of a sentence that says it was not."""
        self._what = what
        self._places = threading.BoundedSemaphore(_MOST)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, which raises Unavailable and nothing else. Cancelling leaves it alone.

        Raises Unavailable also when too many hang already, and where `work` breaks its word.
        """
        return await self.begin(work)

    def begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """What `run` would return, once it is there. Raises Unavailable where it is not even begun."""
        if not self._places.acquire(blocking=False):
            raise Unavailable(f"{self._what} was not asked: too many earlier requests still wait for an answer")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        try:
            threading.Thread(target=self._work, args=(work, loop, answer), name="shim-secrets", daemon=True).start()
        except RuntimeError:
            self._places.release()
            raise Unavailable(f"{self._what} was not asked: the system gives no more threads") from None
        return answer

    def _work(self, work: Callable[[], T], loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T]) -> None:
        # What nobody foresaw is told by the thread itself as it ends; whoever waits is told this.
        said: Callable[[], None] = partial(answer.set_exception, Unavailable(f"{self._what} failed; see the log"))
        try:
            said = partial(answer.set_result, work())
        except Unavailable as unavailable:
            said = partial(answer.set_exception, unavailable)
        finally:
            self._places.release()
            # The loop may be closed by now: then nobody waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_tell, answer, said)


def _tell(answer: asyncio.Future[T], said: Callable[[], None]) -> None:
    if not answer.done():
        said()
