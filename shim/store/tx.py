"""What a unit of work can do inside the transaction of its group."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, TypeVar

from shim.model import JsonObject
from shim.store.chain import GENESIS, encode, link, stamp

Part: TypeAlias = Literal["arguments", "result"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest event: its seq (0: there is none) and its hash (32 bytes)."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Task:
    """Whose a task is, the SHA-256 of its id, who has it, and the tool and the grant of the call that left it."""

    identity: str
    handle: bytes
    upstream: str
    tool: str
    grant: str


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A lease that can be revoked, and the process that asked for it. Times as `stamp` writes them.

    `issued` is when it was asked for until it is known; `revocation`, sealed, is what ends it.
    """

    lease: str
    process: str
    secret: str
    source: str
    scope: str
    identity: str | None
    invocation: str | None
    issued: str
    expires: str | None = None
    revoked: str | None = None
    revocation: bytes | None = field(default=None, repr=False)


LEASE_COLUMNS = "lease, process, secret, source, scope, identity, invocation, issued, expires, revoked, revocation"
"""In the order of `LeaseRow`."""


@dataclass(frozen=True, slots=True)
class GivenRow:
    """A credential that a person gave, `sealed`; times as `stamp` writes them.

    No two are sealed alike, so what is sealed also tells one from what took its place. `claimed`: until when somebody
    has it to themselves, to refresh it.
    """

    identity: str
    source: str
    secret: str
    sealed: bytes = field(repr=False)
    created: str
    expires: str | None = None
    refreshed: str | None = None
    claimed: str | None = None


class Unit(Protocol[T_co]):
    """Work that happens wholly or not at all."""

    def apply(self, tx: Tx) -> T_co:
        """Do it through `tx`, on the writer's thread. Quick, and without effects elsewhere: it may run again.

        What it raises undoes this unit alone and reaches its waiter.
        """
        ...


class Tx:
    """One transaction, shared by the units of a group, one after the other.

    Rows that no unit reads back are gathered and written together; anything that reads writes them first.
    """

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        row = raw.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        self.head = Head(int(row[0]), bytes(row[1])) if row is not None else Head(0, GENESIS)
        self._events: list[tuple[int, str, bytes]] = []
        self._payloads: list[tuple[str, Part, bytes, bytes | None]] = []
        self._running: list[tuple[str, str]] = []
        self._ended: list[tuple[str]] = []

    def append(self, kind: str, body: JsonObject, invocation: str | None, time: datetime) -> int:
        """Add an event to the chain; its seq."""
        seq = self.head.seq + 1
        text = encode(seq, stamp(time), kind, invocation, body)
        self.head = Head(seq, link(self.head.hash, text))
        self._events.append((seq, text.decode("utf-8"), self.head.hash))
        return seq

    def put_payload(self, invocation: str, part: Part, salt: bytes, content: bytes | None) -> None:
        """Keep what hangs on an event by its digest; without content, the salt alone. Once for each part."""
        self._payloads.append((invocation, part, salt, content))

    def began(self, invocation: str, process: str) -> None:
        """Remember that this process owes the invocation an outcome."""
        self._running.append((invocation, process))

    def ended(self, invocation: str) -> None:
        """The invocation has its outcome."""
        self._ended.append((invocation,))

    def is_running(self, invocation: str) -> bool:
        """Whether the invocation began and has no outcome."""
        self.flush()
        return self._raw.execute("SELECT 1 FROM running WHERE invocation = ?", (invocation,)).fetchone() is not None

    def running(self) -> list[tuple[str, str]]:
        """All invocations that began and have no outcome, each with its process."""
        self.flush()
        return [(str(row[0]), str(row[1])) for row in self._raw.execute("SELECT invocation, process FROM running")]

    def show(self, version: str) -> bool:
        """Note that this version was shown. False when it already was."""
        return self._raw.execute("INSERT OR IGNORE INTO shown(version) VALUES (?)", (version,)).rowcount == 1

    def keep_policy(self, digest: str, texts: Iterable[tuple[str, bytes]]) -> None:
        """Keep the named texts of a configuration under its digest; those of a digest that is there stay."""
        rows = [(digest, position, name, content) for position, (name, content) in enumerate(texts)]
        self._raw.executemany(
            "INSERT OR IGNORE INTO policies(digest, position, name, content) VALUES (?, ?, ?, ?)", rows
        )

    def keep_offer(self, upstream: str, content: bytes) -> None:
        """Keep the last catalog of an upstream, in place of the one before."""
        self._raw.execute("INSERT OR REPLACE INTO offers(upstream, content) VALUES (?, ?)", (upstream, content))

    def keep_task(self, task: Task, expires: str) -> bool:
        """Remember a task until `expires` (as `stamp` writes it). False when its identity has one of another upstream
        under this handle, which stays.
        """
        known = self.task(task.identity, task.handle)
        if known is not None and known.upstream != task.upstream:
            return False
        self._raw.execute(
            "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?)",
            (task.identity, task.handle, task.upstream, task.tool, task.grant, expires),
        )
        return True

    def task(self, identity: str, handle: bytes) -> Task | None:
        """The task that an identity has under a handle."""
        row = self._raw.execute(
            'SELECT upstream, tool, "grant" FROM tasks WHERE identity = ? AND handle = ?', (identity, handle)
        ).fetchone()
        return Task(identity, handle, *map(str, row)) if row is not None else None

    def use_task(self, task: Task, expires: str) -> None:
        """Remember a task that is there until `expires` at least."""
        self._raw.execute(
            "UPDATE tasks SET expires = ? WHERE identity = ? AND handle = ? AND expires < ?",
            (expires, task.identity, task.handle, expires),
        )

    def forget_tasks(self, now: str) -> None:
        """Forget the tasks whose time is over."""
        self._raw.execute("DELETE FROM tasks WHERE expires < ?", (now,))

    def put_lease(self, row: LeaseRow) -> None:
        """Keep a lease, in place of what was known of it."""
        self._raw.execute(f"INSERT OR REPLACE INTO leases VALUES ({', '.join('?' * 11)})", astuple(row))  # noqa: S608

    def end_lease(self, lease: str, revoked: str) -> LeaseRow | None:
        """Note when a lease ended, and forget what it took to end it. None when it had ended already."""
        rows = self._leases("lease = ? AND revoked IS NULL", (lease,))
        if not rows:
            return None
        self._raw.execute("UPDATE leases SET revoked = ?, revocation = NULL WHERE lease = ?", (revoked, lease))
        return rows[0]

    def live_leases(self) -> list[LeaseRow]:
        """All leases that nobody has ended."""
        return self._leases("revoked IS NULL", ())

    def live_leases_of(self, process: str) -> list[LeaseRow]:
        """The leases of one process that nobody has ended."""
        return self._leases("process = ? AND revoked IS NULL", (process,))

    def lease(self, lease: str) -> LeaseRow | None:
        """The lease of this id."""
        return next(iter(self._leases("lease = ?", (lease,))), None)

    def forget_leases(self, before: str) -> None:
        """Forget the leases that ended before this time: the record has their events."""
        self._raw.execute("DELETE FROM leases WHERE revoked < ?", (before,))

    def _leases(self, where: str, values: tuple[str, ...]) -> list[LeaseRow]:
        sql = f"SELECT {LEASE_COLUMNS} FROM leases WHERE {where} ORDER BY issued, lease"  # noqa: S608 - fixed texts
        return [LeaseRow(*row) for row in self._raw.execute(sql, values)]

    def put_given(self, row: GivenRow) -> None:
        """Keep what a person gave, in place of what they gave before."""
        self._raw.execute("INSERT OR REPLACE INTO given VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(row))

    def given(self, identity: str, source: str, secret: str) -> GivenRow | None:
        """What a person gave of a secret."""
        return next(iter(self._given("identity = ? AND source = ? AND secret = ?", (identity, source, secret))), None)

    def all_given(self, source: str | None = None) -> list[GivenRow]:
        """All that people gave, or what they gave for one source."""
        return self._given("source = ?", (source,)) if source is not None else self._given("1", ())

    def claim_given(self, row: GivenRow, until: str | None) -> bool:
        """Have a row until then to oneself (None: no more). False when it is not there any more as it was."""
        changed = self._raw.execute(
            "UPDATE given SET claimed = ? WHERE identity = ? AND source = ? AND secret = ? AND sealed = ?"
            " AND claimed IS ?",
            (until, row.identity, row.source, row.secret, row.sealed, row.claimed),
        )
        return changed.rowcount == 1

    def drop_given(self, identity: str, source: str, secret: str, sealed: bytes | None = None) -> GivenRow | None:
        """Forget what a person gave, or that alone which is `sealed` so; it, None where there is no such."""
        row = self.given(identity, source, secret)
        if row is None or (sealed is not None and row.sealed != sealed):
            return None
        self._raw.execute(
            "DELETE FROM given WHERE identity = ? AND source = ? AND secret = ?", (identity, source, secret)
        )
        return row

    def _given(self, where: str, values: tuple[str, ...]) -> list[GivenRow]:
        columns = "identity, source, secret, sealed, created, expires, refreshed, claimed"
        sql = f"SELECT {columns} FROM given WHERE {where} ORDER BY identity, source, secret"  # noqa: S608 - fixed texts
        return [GivenRow(*row) for row in self._raw.execute(sql, values)]

    def last_checkpoint(self) -> int:
        """The seq up to which the newest checkpoint vouches; 0 when there is none."""
        return int(self._raw.execute("SELECT coalesce(max(seq), 0) FROM checkpoints").fetchone()[0])

    def put_checkpoint(self, head: Head, time: str, signature: bytes) -> None:
        """Keep a signed checkpoint."""
        self._raw.execute(
            "INSERT INTO checkpoints(seq, hash, time, signature) VALUES (?, ?, ?, ?)",
            (head.seq, head.hash, time, signature),
        )

    def probe(self) -> None:
        """Change something, to see whether anything can be changed."""
        self._raw.execute("INSERT INTO probe VALUES (1, 1) ON CONFLICT DO UPDATE SET count = (count + 1) % 1000000")

    def flush(self) -> None:
        """Write what was gathered."""
        if self._events:
            self._raw.executemany("INSERT INTO events(seq, event, hash) VALUES (?, ?, ?)", self._events)
            self._events.clear()
        if self._payloads:
            self._raw.executemany(
                "INSERT INTO payloads(invocation, part, salt, content) VALUES (?, ?, ?, ?)", self._payloads
            )
            self._payloads.clear()
        if self._running:
            self._raw.executemany("INSERT INTO running(invocation, process) VALUES (?, ?)", self._running)
            self._running.clear()
        if self._ended:
            self._raw.executemany("DELETE FROM running WHERE invocation = ?", self._ended)
            self._ended.clear()

    def apply_alone(self, unit: Unit[object]) -> object:
        """Apply one unit so that what it raises leaves no trace of it in this transaction."""
        before = self.head
        self._raw.execute("SAVEPOINT unit")
        try:
            value = unit.apply(self)
            self.flush()
        except BaseException:
            self.head = before
            for gathered in (self._events, self._payloads, self._running, self._ended):
                gathered.clear()
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK TO unit")
                self._raw.execute("RELEASE unit")
            raise
        self._raw.execute("RELEASE unit")
        return value
