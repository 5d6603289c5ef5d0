"""What the record does by itself while a process serves: its start and stop, checkpoints, and what had to wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from time import monotonic

import anyio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shim.errors import RecordUnavailable
from shim.record.checkpoints import Checkpoint, append_line
from shim.record.config import RecordBlock
from shim.record.recorder import Record
from shim.record.work import WriteCheckpoint
from shim.store.sqlite import SqliteStore

_log = logging.getLogger("shim.record")

CHECKPOINT_EVENTS = 1000
CHECKPOINT_SECONDS = 60.0
_TICK = 1.0


@dataclass(frozen=True, slots=True)
class Process:
    """Where and as whom this process runs: the body of its `server.start`, beside its instance id."""

    host: str
    pid: int
    version: str
    user: str


class Keeper:
    """Writes checkpoints every so many events and every so many seconds with news, and what had to wait."""

    def __init__(
        self,
        store: SqliteStore,
        record: Record,
        key: Ed25519PrivateKey,
        clock: Callable[[], datetime],
        events: int,
        seconds: float,
    ) -> None:
        self._store = store
        self._record = record
        self._key = key
        self._clock = clock
        self._events = events
        self._seconds = seconds
        self._unwritten: list[Checkpoint] = []
        self._vouched = store.head_seq
        self._wake = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        """Until `stop`. Never cancelled: between a commit and its line in the file nothing may come."""
        self._store.watch(self._look)
        next_time = monotonic() + self._seconds
        while not self._stopping:
            with anyio.move_on_after(min(_TICK, self._seconds)):
                await self._wake.wait()
            self._wake.clear()
            due = monotonic() >= next_time
            if due:
                next_time = monotonic() + self._seconds
            try:
                await self._turn(due)
            except RecordUnavailable as error:
                _log.warning("the record has to wait: %s", error)
            except Exception:  # noqa: BLE001 - the boundary of a background task; a bad turn must not end all later ones
                _log.exception("the record's housekeeping failed")
        self._store.watch(None)

    def stop(self) -> None:
        """End after the present turn."""
        self._stopping = True
        self._wake.set()

    def _look(self, seq: int) -> None:
        if seq - self._vouched >= self._events:
            self._wake.set()

    async def _turn(self, due: bool) -> None:
        await self._record.catch_up()
        if due or self._store.head_seq - self._vouched >= self._events:
            await self.checkpoint(1 if due else self._events)

    async def checkpoint(self, news: int = 1) -> None:
        """Write one if there are that many events since the last, and its line. Raises RecordUnavailable."""
        seen = self._store.head_seq
        written = await self._store.commit(WriteCheckpoint(self._key, news, self._clock()))
        if written is not None:
            self._unwritten.append(written)
        self._vouched = written.seq if written is not None else seen
        while self._unwritten:
            try:
                await asyncio.to_thread(append_line, self._store.path, self._unwritten[0])
            except OSError as error:
                raise RecordUnavailable(f"the file of checkpoints cannot be written: {error.strerror}") from error
            del self._unwritten[0]


@asynccontextmanager
async def recording(
    store: SqliteStore,
    block: RecordBlock,
    process: Process,
    key: Ed25519PrivateKey,
    *,
    random: Callable[[int], bytes],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    checkpoint_events: int = CHECKPOINT_EVENTS,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> AsyncIterator[Record]:
    """A record for as long as the block lasts: orphans settled, start and stop on it, checkpoints kept.

    Raises RecordUnavailable when it cannot begin.
    """
    record = Record(store, block, random=random, clock=clock)
    about = {"process": store.instance, **asdict(process)}
    await record.settle_orphans()
    await record.event("server.start", about)
    keeper = Keeper(store, record, key, clock, checkpoint_events, checkpoint_seconds)
    # A task of this block, stopped and awaited before it ends; a task group would wrap what the block raises.
    task = asyncio.create_task(keeper.run(), name="record-keeper")
    try:
        yield record
    finally:
        with anyio.CancelScope(shield=True):
            keeper.stop()
            await task
            try:
                await record.catch_up(everything=True)
                await record.event("server.stop", {"process": store.instance})
                await keeper.checkpoint()
            except RecordUnavailable as error:
                _log.error("the end of this process could not be recorded: %s", error)
