"""Group commit: what waits is committed together, by one task that alone touches the connection.

A unit is in one of two places: in the queue, from where its waiter may still take it back, or claimed by the group
whose transaction is under way. The step from one to the other is taken once, under a mutex, after the lock is had and
the transaction has begun: so a unit that timed out is never committed later, and one whose commit is under way is
awaited.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from shim.errors import RecordUnavailable
from shim.store.database import Busy, Database, Result
from shim.store.lock import FileLock
from shim.store.tx import Unit

_log = logging.getLogger("shim.store")

T = TypeVar("T")

_LARGEST_GROUP = 512
_PAUSE = 0.002


class _Waiting(Generic[T]):
    __slots__ = ("future", "timer", "unit")

    def __init__(self, unit: Unit[T], future: asyncio.Future[T]) -> None:
        self.unit = unit
        self.future = future
        self.timer: asyncio.TimerHandle | None = None


_Settled = list[tuple[_Waiting[Any], Result]]


class Writer:
    """Owns the queue. `hand_over` runs a function on the connection's thread and gives its value."""

    def __init__(
        self,
        database: Database,
        lock: FileLock,
        hand_over: Callable[[Callable[[], _Settled]], Awaitable[_Settled]],
        timeout: float,
    ) -> None:
        self._database = database
        self._lock = lock
        self._hand_over = hand_over
        self._timeout = timeout
        self._mutex = threading.Lock()
        self._queue: dict[_Waiting[Any], None] = {}
        self._news = asyncio.Event()
        self._stopping = False
        self._obstacle = ""
        self.head_seq = 0
        self.news = 0
        self.watcher: Callable[[int], None] | None = None
        self.trouble: str | None = None

    async def commit(self, unit: Unit[T]) -> T:
        """Apply a unit and have it committed and synced; what it gave.

        Raises what the unit raised, and RecordUnavailable when the store failed or the time was up: then nothing of
        the unit is kept. Cancelling takes it back unless its commit is under way; then it is kept or not, wholly.
        """
        if self._stopping:
            raise RecordUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        waiting = _Waiting(unit, future)
        waiting.timer = loop.call_later(self._timeout, self._expire, waiting)
        with self._mutex:
            self._queue[waiting] = None
        self._news.set()
        try:
            return await future
        finally:
            waiting.timer.cancel()
            self._take_back(waiting)

    def _take_back(self, waiting: _Waiting[Any]) -> bool:
        with self._mutex:
            if waiting in self._queue:
                del self._queue[waiting]
                return True
        return False

    def _expire(self, waiting: _Waiting[Any]) -> None:
        if self._take_back(waiting) and not waiting.future.done():
            why = self._obstacle or "the store is too slow"
            self.trouble = why
            waiting.future.set_exception(RecordUnavailable(f"not recorded within {self._timeout:g} s: {why}"))

    async def run(self) -> None:
        """Commit what comes, until `stop`; then what is still waiting."""
        while self._queue or not self._stopping:
            if not self._queue:
                self._news.clear()
                await self._news.wait()
                continue
            for waiting, (value, error) in await self._hand_over(self._group):
                if waiting.future.done():
                    continue
                if error is not None:
                    waiting.future.set_exception(error)
                else:
                    waiting.future.set_result(value)
            if self.watcher is not None:
                self.watcher(self.head_seq)

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping = True
        self._news.set()

    def wanted(self) -> bool:
        """Whether anybody still waits."""
        return bool(self._queue)

    # From here on: the connection's thread.

    def _group(self) -> _Settled:
        while self.wanted():
            self._obstacle = "another process holds the lock of the store"
            if not self._lock.acquire(self.wanted):
                break
            self._obstacle = ""
            try:
                tx = self._database.begin()
            except Busy:
                self._obstacle = "another program holds the database"
            except RecordUnavailable as error:
                return self._failed(self._claim(), error)
            else:
                try:
                    if tx.head.seq != self.head_seq:
                        self.news += 1
                    group = self._claim()
                    if not group:
                        self._database.rollback()
                        break
                    results, head = self._database.run(tx, [waiting.unit for waiting in group])
                except RecordUnavailable as error:
                    return self._failed(group, error)
                self.head_seq, self.trouble = head.seq, None
                return list(zip(group, results, strict=True))
            finally:
                self._lock.release()
            time.sleep(_PAUSE)
        return []

    def _claim(self) -> list[_Waiting[Any]]:
        with self._mutex:
            group = [waiting for waiting, _ in zip(self._queue, range(_LARGEST_GROUP), strict=False)]
            for waiting in group:
                del self._queue[waiting]
        return group

    def _failed(self, group: list[_Waiting[Any]], error: RecordUnavailable) -> _Settled:
        if self.trouble != str(error):
            _log.error("the store cannot commit: %s", error)
        self.trouble = str(error)
        return [(waiting, (None, RecordUnavailable(str(error)))) for waiting in group]
