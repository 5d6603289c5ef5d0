"""Whose a task is, and where it runs.

A task id is the upstream's own and passes unchanged; it means something only to the identity that was given it. What is
kept of it is its digest, since an id may be all that an upstream asks for. It outlives the process, as a client may
come back for its task after a restart of either (extension io.modelcontextprotocol/tasks, "Task Creation").
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shim.errors import UpstreamFault
from shim.extensions import TASKS, of_client
from shim.model import Call, Decision, Json, Offered, Reply
from shim.store.chain import stamp
from shim.store.sqlite import SqliteStore
from shim.store.tx import Task, Tx

MAX_ID = 1024
"""No task id has more characters."""

_LONGEST = timedelta(days=30)
"""How long a task is known that nobody asked for, where its upstream does not say when it ends."""

_BEYOND = timedelta(hours=1)
"""How much longer than its own time a task is known: its upstream says that it is over, and may change its mind."""


class Tasks:
    """Remembers tasks in the store, which all processes share."""

    def __init__(self, store: SqliteStore, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._clock = clock

    async def take(self, call: Call, target: Offered, decision: Decision, reply: Reply) -> Reply:
        """Remember the task that an upstream answered a call with, if that is what it did; what the caller is told.

        What a task asks for is its state's to say, where it is looked at.
        Raises UpstreamFault where the caller did not ask for such an answer or may not be told of the task, and
        RecordUnavailable.
        """
        result = reply.result
        if result is None or result.get("resultType") != "task":
            return reply
        id_ = result.get("taskId")
        if call.method != "tools/call" or TASKS not in of_client(call.caller):
            raise UpstreamFault(f"The upstream {target.upstream} answered with a task, which was not asked for.")
        if not isinstance(id_, str) or not 0 < len(id_) <= MAX_ID:
            raise UpstreamFault(f"The upstream {target.upstream} answered with a task that has no id.")
        identity = call.caller.identity.name
        task = Task(identity, handle(id_), target.upstream, target.ref, decision.grant or "")
        if not await self.keep(task, result.get("ttlMs")):
            raise UpstreamFault(f"The upstream {target.upstream} answered with a task that is another upstream's.")
        return replace(reply, result={key: value for key, value in result.items() if key != "inputRequests"})

    async def keep(self, task: Task, ttl: Json) -> bool:
        """Remember a task, which lives `ttl` milliseconds (None: no end).

        False when its identity has one of another upstream under this id: then it may not be told of this one.
        Raises RecordUnavailable.
        """
        now = self._clock()
        return await self._store.commit(_Keep(task, stamp(now), stamp(now + _lifetime(ttl))))

    async def find(self, identity: str, id_: str) -> Task | None:
        """The task that this identity has under this id. Raises RecordUnavailable."""
        now = self._clock()
        return await self._store.commit(_Find(identity, handle(id_), stamp(now), stamp(now + _BEYOND)))


def handle(id_: str) -> bytes:
    """What is kept of a task's id."""
    return hashlib.sha256(id_.encode("utf-8", "surrogatepass")).digest()


def _lifetime(ttl: Json) -> timedelta:
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 <= ttl < _LONGEST / timedelta(milliseconds=1):
        return _LONGEST
    return timedelta(milliseconds=ttl) + _BEYOND


@dataclass(frozen=True, slots=True)
class _Keep:
    task: Task
    now: str
    expires: str

    def apply(self, tx: Tx) -> bool:
        tx.forget_tasks(self.now)
        return tx.keep_task(self.task, self.expires)


@dataclass(frozen=True, slots=True)
class _Find:
    identity: str
    handle: bytes
    now: str
    expires: str

    def apply(self, tx: Tx) -> Task | None:
        tx.forget_tasks(self.now)
        task = tx.task(self.identity, self.handle)
        if task is not None:
            tx.use_task(task, self.expires)
        return task
