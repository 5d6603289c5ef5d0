"""The store in one SQLite file, which several processes may share."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import aiosqlite
import anyio

from shim import jsontext
from shim.errors import RecordUnavailable
from shim.model import Offer
from shim.store.database import Database
from shim.store.files import private_folder
from shim.store.liveness import is_alive, living, sweep
from shim.store.lock import FileLock
from shim.store.tx import Tx, Unit
from shim.store.writer import Writer

T = TypeVar("T")

_PROBE_EVERY = 1.0


class _Probe:
    def apply(self, tx: Tx) -> None:
        tx.probe()


class _KeepOffer:
    def __init__(self, offer: Offer) -> None:
        self._upstream = offer.upstream
        self._content = jsontext.dump(asdict(offer))

    def apply(self, tx: Tx) -> None:
        tx.keep_offer(self._upstream, self._content)


class SqliteStore:
    """Commits units of work. Made by `SqliteStore.open`; all waiting is bounded by its timeout."""

    def __init__(self, path: Path, instance: str, writer: Writer) -> None:
        self.path = path
        self.instance = instance
        self._writer = writer
        self._probed = 0.0

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, instance: str, timeout: float = 5.0) -> AsyncIterator[SqliteStore]:
        """The store at `path`, made when missing (0600, in folders 0700), until the block ends.

        `instance` is the random id under which this process is seen as alive meanwhile; `timeout` in seconds.
        Raises RecordUnavailable when the store cannot be opened.
        """
        path, lock = _prepare(path)
        database = Database(path, lock)
        try:
            with living(path, instance):
                async with _connected(database, timeout) as connection:
                    writer = Writer(database, lock, lambda function: _hand_over(connection, function), timeout)
                    # A task of this block: started here, and awaited before the block ends. Not in a task group, whose
                    # cancellation would take the writer from those who must still record how their calls ended.
                    task = asyncio.create_task(writer.run(), name="store-writer")
                    try:
                        yield cls(path, instance, writer)
                    finally:
                        writer.stop()
                        with anyio.CancelScope(shield=True):
                            await task
        finally:
            lock.close()

    async def commit(self, unit: Unit[T]) -> T:
        """Apply a unit in the transaction of its group, committed and synced; see `Writer.commit`."""
        return await self._writer.commit(unit)

    @property
    def head_seq(self) -> int:
        """The seq of the newest event that this process knows of."""
        return self._writer.head_seq

    @property
    def news(self) -> int:
        """A number that differs once a commit of this process has found that others put events on the record."""
        return self._writer.news

    def watch(self, watcher: Callable[[int], None] | None) -> None:
        """Have `watcher`, the only one, told the seq of the newest event after each group; None ends that."""
        self._writer.watcher = watcher

    async def trouble(self) -> str | None:
        """Why nothing can be committed now, or None. Tries it, at most once a second."""
        now = time.monotonic()
        if self._writer.trouble is not None or now - self._probed >= _PROBE_EVERY:
            self._probed = now
            try:
                await self.commit(_Probe())
            except RecordUnavailable as error:
                return str(error)
        return self._writer.trouble

    async def keep_offer(self, offer: Offer) -> None:
        """Keep the last catalog of an upstream beyond this process. Raises RecordUnavailable."""
        await self.commit(_KeepOffer(offer))

    def is_alive(self, instance: str) -> bool:
        """Whether the process with this instance id lives."""
        return instance == self.instance or is_alive(self.path, instance)

    def sweep(self) -> None:
        """Remove what processes that are gone left behind."""
        sweep(self.path)


def _prepare(path: Path) -> tuple[Path, FileLock]:
    path = path.absolute()
    private_folder(path.parent)
    return path, FileLock(path)


def _until(timeout: float) -> Callable[[], bool]:
    deadline = time.monotonic() + timeout
    return lambda: time.monotonic() < deadline


@asynccontextmanager
async def _connected(database: Database, timeout: float) -> AsyncIterator[aiosqlite.Connection]:
    failed: list[RecordUnavailable] = []

    def connector() -> sqlite3.Connection:
        try:
            return database.open(_until(timeout))
        except RecordUnavailable as error:
            # Kept for later: aiosqlite leaves its thread behind when connecting raises.
            failed.append(error)
            return sqlite3.connect(":memory:", check_same_thread=False)

    # The class behind `aiosqlite.connect`, because that function cannot be told how to open.
    connection = aiosqlite.Connection(connector, iter_chunk_size=64)
    with anyio.CancelScope(shield=True):
        await connection
    try:
        if failed:
            raise failed[0]
        yield connection
    finally:
        with anyio.CancelScope(shield=True):
            await _hand_over(connection, lambda: database.close(_until(timeout)))
            await connection.close()


async def _hand_over(connection: aiosqlite.Connection, function: Callable[[], T]) -> T:
    """Run a function on the thread of an aiosqlite connection.

    Its public methods hand over one statement each; a transaction would go back and forth four times. `_execute` is
    private: aiosqlite's minor version is pinned, and this is the only place that knows it.
    """
    execute: Callable[[Callable[[], T]], Awaitable[T]] = connection._execute
    return await execute(function)
