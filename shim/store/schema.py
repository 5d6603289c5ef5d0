"""The tables, and how an older store becomes a newer one."""

from __future__ import annotations

import sqlite3

from shim.errors import RecordUnavailable

APPLICATION_ID = 0x6D637073

# Virtual columns: they are computed from the hashed text whenever they are read, so there is nothing beside it to edit.
EVENTS = """CREATE TABLE events(
  seq INTEGER PRIMARY KEY,
  event TEXT NOT NULL,
  hash BLOB NOT NULL,
  time TEXT GENERATED ALWAYS AS (json_extract(event, '$.time')) VIRTUAL,
  kind TEXT GENERATED ALWAYS AS (json_extract(event, '$.kind')) VIRTUAL,
  invocation TEXT GENERATED ALWAYS AS (json_extract(event, '$.invocation')) VIRTUAL,
  identity TEXT GENERATED ALWAYS AS (json_extract(event, '$.body.identity')) VIRTUAL,
  tool TEXT GENERATED ALWAYS AS (json_extract(event, '$.body.tool')) VIRTUAL,
  decision TEXT GENERATED ALWAYS AS (json_extract(event, '$.body.decision')) VIRTUAL,
  status TEXT GENERATED ALWAYS AS (json_extract(event, '$.body.status')) VIRTUAL
)"""

_FIRST = (
    EVENTS,
    "CREATE INDEX events_of_invocation ON events(invocation, kind) WHERE invocation IS NOT NULL",
    "CREATE INDEX intents_by_time ON events(time) WHERE kind = 'intent'",
    """CREATE TABLE payloads(
  invocation TEXT NOT NULL,
  part TEXT NOT NULL CHECK (part IN ('arguments', 'result')),
  salt BLOB NOT NULL,
  content BLOB,
  PRIMARY KEY (invocation, part)
)""",
    """CREATE TABLE checkpoints(
  seq INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,
  time TEXT NOT NULL,
  signature BLOB NOT NULL
)""",
    """CREATE TABLE policies(
  digest TEXT NOT NULL,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (digest, position)
) WITHOUT ROWID""",
    "CREATE TABLE offers(upstream TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE shown(version TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE running(invocation TEXT PRIMARY KEY, process TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE probe(one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL)",
)

_SECOND = (
    """CREATE TABLE tasks(
  identity TEXT NOT NULL,
  handle BLOB NOT NULL,
  upstream TEXT NOT NULL,
  tool TEXT NOT NULL,
  "grant" TEXT NOT NULL,
  expires TEXT NOT NULL,
  PRIMARY KEY (identity, handle)
) WITHOUT ROWID""",
    "CREATE INDEX tasks_by_end ON tasks(expires)",
)

_THIRD = (
    """CREATE TABLE leases(
  lease TEXT PRIMARY KEY,
  process TEXT NOT NULL,
  secret TEXT NOT NULL,
  source TEXT NOT NULL,
  scope TEXT NOT NULL,
  identity TEXT,
  invocation TEXT,
  issued TEXT NOT NULL,
  expires TEXT,
  revoked TEXT,
  revocation BLOB
) WITHOUT ROWID""",
    "CREATE INDEX leases_alive ON leases(process) WHERE revoked IS NULL",
    "CREATE INDEX leases_ended ON leases(revoked) WHERE revoked IS NOT NULL",
)

LEASES_SINCE = 3
"""The first version that has leases."""
GIVEN_SINCE = 4
"""The first that has what people gave."""

_FOURTH = (
    """CREATE TABLE given(
  identity TEXT NOT NULL,
  source TEXT NOT NULL,
  secret TEXT NOT NULL,
  sealed BLOB NOT NULL,
  created TEXT NOT NULL,
  expires TEXT,
  refreshed TEXT,
  claimed TEXT,
  PRIMARY KEY (identity, source, secret)
) WITHOUT ROWID""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND, _THIRD, _FOURTH)
"""Statements that lead from version n to n + 1, by position."""

VERSION = len(MIGRATIONS)


def version(raw: sqlite3.Connection) -> int:
    """The schema's version: 0 for an empty database. Raises RecordUnavailable for a file that is not ours or newer."""
    found = int(raw.execute("PRAGMA user_version").fetchone()[0])
    owner = int(raw.execute("PRAGMA application_id").fetchone()[0])
    tables = int(raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if (owner != APPLICATION_ID) if (found or tables) else owner not in (0, APPLICATION_ID):
        raise RecordUnavailable("the file is a database of another program")
    if found > VERSION:
        raise RecordUnavailable(f"the store was made by a newer version (schema {found}; this one knows {VERSION})")
    return found


def migrate(raw: sqlite3.Connection) -> None:
    """Bring the schema up to date. The caller holds the lock and an immediate transaction."""
    for statements in MIGRATIONS[version(raw) :]:
        for statement in statements:
            raw.execute(statement)
    raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    raw.execute(f"PRAGMA user_version = {VERSION}")
