"""Reads a store, beside the processes that write to it. Opens it read-only; all SQL that lists and verifies is here.

Every row comes with text as stored bytes: what is free text in an event need not be text that Python can hold.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shim import jsontext
from shim.errors import InvalidText, RecordUnavailable
from shim.model import Offer
from shim.store.database import unavailable
from shim.store.files import refuse_link
from shim.store.liveness import is_alive
from shim.store.schema import EVENTS, GIVEN_SINCE, LEASES_SINCE, version
from shim.store.tx import LEASE_COLUMNS, GivenRow, Head, LeaseRow

_log = logging.getLogger("shim.store")

PAGE = 500


@dataclass(frozen=True, slots=True)
class Event:
    """One stored event: `text` is the bytes that were hashed."""

    seq: int
    text: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Payload:
    """What hangs on an event: `content` is None where only the digest was to be kept."""

    salt: bytes
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Row:
    """One invocation: its last event's seq and hash, and the texts of its intent and outcome."""

    seq: int
    hash: bytes
    intent: bytes
    outcome: bytes | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which invocations: begun from the stamp `since` on and before `until`; whose last event's seq is over `after`."""

    since: str | None = None
    until: str | None = None
    after: int = 0
    identity: str | None = None
    decision: str | None = None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A row of `checkpoints`."""

    seq: int
    hash: bytes
    time: str
    signature: bytes


_ROWS = """SELECT e.seq, e.hash, i.event, o.event
FROM events e
JOIN events i ON i.seq = (SELECT min(x.seq) FROM events x WHERE x.invocation = e.invocation AND x.kind = 'intent')
LEFT JOIN events o ON o.seq = (SELECT max(x.seq) FROM events x WHERE x.invocation = e.invocation AND x.kind = 'outcome')
WHERE e.invocation IS NOT NULL AND e.kind <> 'payload.blanked' AND NOT EXISTS (
  SELECT 1 FROM events l
  WHERE l.invocation = e.invocation AND l.kind <> 'payload.blanked' AND l.seq > e.seq)"""


class Reader:
    """One read-only connection, for one thread. Use as a context manager. Raises RecordUnavailable."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        if not refuse_link(self.path):
            raise RecordUnavailable(f"there is no record at {self.path}")
        try:
            self._raw = sqlite3.connect(
                f"{self.path.as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
            )
            self._raw.text_factory = bytes
            self.schema = version(self._raw)
            if self.schema == 0:
                raise RecordUnavailable(f"the record is empty: {self.path}")
        except sqlite3.Error as error:
            raise unavailable(error, self.path) from error

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End reading."""
        self._raw.close()

    def is_alive(self, instance: str) -> bool:
        """Whether the process with this instance id lives."""
        return is_alive(self.path, instance)

    def _all(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._raw.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise unavailable(error, self.path) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside shows one moment."""
        self._all("BEGIN")
        try:
            yield
        finally:
            self._raw.rollback()

    def head(self) -> Head | None:
        """The newest event."""
        rows = self._all("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
        return Head(rows[0][0], rows[0][1]) if rows else None

    def changes(self) -> int:
        """A number that differs once another connection has committed."""
        return int(self._all("PRAGMA data_version")[0][0])

    def events(self, after: int = 0) -> Iterator[Event]:
        """All events with a higher seq, in order; by pages, so that no long reading holds up the log's recycling."""
        while True:
            page = self._all("SELECT seq, event, hash FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (after, PAGE))
            for seq, text, digest in page:
                yield Event(seq, text, digest)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def events_with_payloads(self) -> Iterator[tuple[Event, Payload | None]]:
        """All events in order, each with what hangs on it. For use inside a snapshot, which it holds anyway."""
        sql = """SELECT e.seq, e.event, e.hash, p.salt, p.content FROM events e
LEFT JOIN payloads p ON p.invocation = e.invocation
  AND p.part = CASE e.kind WHEN 'intent' THEN 'arguments' WHEN 'outcome' THEN 'result' END
ORDER BY e.seq"""
        try:
            for seq, text, digest, salt, content in self._raw.execute(sql):
                yield Event(seq, text, digest), Payload(_blob(salt), _blob(content)) if salt is not None else None
        except sqlite3.Error as error:
            raise unavailable(error, self.path) from error

    def events_of(self, invocation: str) -> list[Event]:
        """The events of one invocation, in order."""
        rows = self._all("SELECT seq, event, hash FROM events WHERE invocation = ? ORDER BY seq", (invocation,))
        return [Event(*row) for row in rows]

    def rows(self, selection: Selection, *, newest_first: bool = False) -> Iterator[Row]:
        """Invocations in order of their last event's seq, by pages; none twice for what is there when it begins."""
        head = self.head()
        low, high = selection.after, (head.seq if head is not None else 0) + 1
        if selection.since is not None:
            low = max(low, self._first_intent(selection.since) - 1)
        conditions, values = _conditions(selection)
        order = "DESC" if newest_first else "ASC"
        sql = f"{_ROWS} AND e.seq > ? AND e.seq < ?{conditions} ORDER BY e.seq {order} LIMIT {PAGE}"
        while True:
            page = [Row(*row) for row in self._all(sql, (low, high, *values))]
            yield from page
            if len(page) < PAGE:
                return
            low, high = (low, page[-1].seq) if newest_first else (page[-1].seq, high)

    def _first_intent(self, since: str) -> int:
        # No last event comes before its intent: the first intent in question bounds the search from below.
        rows = self._all("SELECT coalesce(min(seq), 1) FROM events WHERE kind = 'intent' AND time >= ?", (since,))
        return int(rows[0][0])

    def row(self, invocation: str) -> Row | None:
        """One invocation."""
        rows = self._all(f"{_ROWS} AND e.invocation = ?", (invocation,))
        return Row(*rows[0]) if rows else None

    def payload(self, invocation: str, part: str) -> Payload | None:
        """What hangs on an invocation's event, if it is still there."""
        sql = "SELECT salt, content FROM payloads WHERE invocation = ? AND part = ?"
        rows = self._all(sql, (invocation, part))
        return Payload(*rows[0]) if rows else None

    def count(self, table: str) -> int:
        """How many rows `events`, `payloads` or `checkpoints` has."""
        if table not in ("events", "payloads", "checkpoints"):
            raise ValueError(table)
        return int(self._all(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - one of three words

    def checkpoints(self) -> Iterator[StoredCheckpoint]:
        """All rows of `checkpoints`, in order."""
        for seq, digest, time, signature in self._all(
            "SELECT seq, hash, time, signature FROM checkpoints ORDER BY seq"
        ):
            yield StoredCheckpoint(seq, digest, time.decode(), signature)

    def last_checkpoint(self) -> StoredCheckpoint | None:
        """The newest row of `checkpoints`."""
        rows = self._all("SELECT seq, hash, time, signature FROM checkpoints ORDER BY seq DESC LIMIT 1")
        if not rows:
            return None
        seq, digest, time, signature = rows[0]
        return StoredCheckpoint(seq, _blob(digest), _blob(time).decode("utf-8", "replace"), _blob(signature))

    def unfinished(self) -> dict[str, int]:
        """How many invocations of each process began and have no outcome yet."""
        rows = self._all("SELECT process, count(*) FROM running GROUP BY process")
        return {process.decode("utf-8", "replace"): count for process, count in rows}

    def leases(self, *, ended: bool) -> list[LeaseRow]:
        """The leases that are alive, in the order of their issue; with `ended`, also those that are remembered.

        What revokes them is not read.
        """
        if self.schema < LEASES_SINCE:
            return []
        columns = LEASE_COLUMNS.replace(", revocation", "")
        where = "" if ended else " WHERE revoked IS NULL"
        rows = self._all(f"SELECT {columns} FROM leases{where} ORDER BY issued, lease")  # noqa: S608 - fixed texts
        return [LeaseRow(*(_text(value) for value in row)) for row in rows]

    def given(self) -> list[GivenRow]:
        """What people gave: whose and since when. What is sealed is not read."""
        if self.schema < GIVEN_SINCE:
            return []
        sql = """SELECT identity, source, secret, created, expires, refreshed FROM given
ORDER BY identity, source, secret"""
        return [
            GivenRow(_text(identity) or "", _text(source) or "", _text(secret) or "", b"", *map(_text, times))
            for identity, source, secret, *times in self._all(sql)
        ]

    def policy(self, digest: str) -> list[tuple[str, bytes]]:
        """The texts of a configuration, by name, in order; empty when it is not kept."""
        rows = self._all("SELECT name, content FROM policies WHERE digest = ? ORDER BY position", (digest,))
        return [(name.decode("utf-8", "surrogatepass"), content) for name, content in rows]

    def policies(self, prefix: str) -> list[str]:
        """The digests of kept configurations that begin so (lower-case hex digits), sorted."""
        rows = self._all(
            "SELECT DISTINCT digest FROM policies WHERE digest >= ? AND digest < ? ORDER BY 1", (prefix, prefix + "g")
        )
        return [digest.decode("utf-8", "replace") for (digest,) in rows]

    def offers(self) -> dict[str, Offer]:
        """The last catalog of each upstream, as far as it can be read: it is read anew from the upstream anyway."""
        found: dict[str, Offer] = {}
        for upstream, content in self._all("SELECT upstream, content FROM offers"):
            offer = _offer(content)
            if offer is None:
                _log.warning("the kept catalog of %.120r cannot be read and is left out", upstream)
            else:
                found[offer.upstream] = offer
        return found

    def totals(self, selection: Selection) -> Iterator[tuple[str, str | None, str, str | None, str, int]]:
        """Counts of invocations by identity, tool (None: none), decision, status (None: no outcome) and process."""
        conditions, values = _conditions(selection)
        sql = f"""SELECT i.identity, i.tool, i.decision,
  (SELECT o.status FROM events o WHERE o.invocation = i.invocation AND o.kind = 'outcome' ORDER BY o.seq DESC LIMIT 1),
  json_extract(i.event, '$.body.process'), count(*)
FROM events i WHERE i.kind = 'intent'{conditions}
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"""  # noqa: S608 - the conditions are constants
        for *texts, count in self._all(sql, tuple(values)):
            identity, tool, decision, status, process = (
                text.decode("utf-8", "surrogatepass") if text is not None else None for text in texts
            )
            yield identity or "", tool or None, decision or "", status, process or "", count

    def changed_columns(self) -> str | None:
        """What is wrong with the columns beside the hashed text, or None: they must be computed, and indexed truly."""
        rows = self._all("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'events'")
        if not rows or rows[0][0].decode("utf-8", "replace") != EVENTS:
            return "the columns of the table of events are not the computed ones"
        found = self._all("PRAGMA integrity_check(1)")[0][0]
        return None if found == b"ok" else f"the database is damaged: {found.decode('utf-8', 'replace')}"


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _blob(value: Any) -> Any:
    # A column takes values of any kind from who writes past us: what was written here is bytes, or nothing.
    return value if value is None or isinstance(value, bytes) else repr(value).encode()


def _offer(content: object) -> Offer | None:
    """A kept offer, or None for what is none: cut short, of another version, or written by somebody else."""
    try:
        value = jsontext.parse_object(content) if isinstance(content, bytes) else {}
        # What was kept by a version that read tools alone has no other lists.
        lists = {"tools": value["tools"]} | {
            kind: value.get(kind, []) for kind in ("prompts", "resources", "templates")
        }
        for definitions in lists.values():
            if not isinstance(definitions, list) or not all(isinstance(one, dict) for one in definitions):
                return None
        offer = Offer(**{**value, **{kind: tuple(definitions) for kind, definitions in lists.items()}})
    except (InvalidText, KeyError, TypeError):
        return None
    return offer if isinstance(offer.upstream, str) else None


def _conditions(selection: Selection) -> tuple[str, list[object]]:
    conditions = ""
    values: list[object] = []
    if selection.since is not None:
        conditions += " AND i.time >= ?"
        values.append(selection.since)
    if selection.until is not None:
        conditions += " AND i.time < ?"
        values.append(selection.until)
    if selection.identity is not None:
        conditions += " AND i.identity = ?"
        values.append(selection.identity)
    if selection.decision is not None:
        conditions += " AND i.decision = ?"
        values.append(selection.decision)
    return conditions, values
