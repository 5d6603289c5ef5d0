"""The one connection that writes, as its thread sees it: opening, transactions, and what failures mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from shim.errors import RecordUnavailable
from shim.store import schema
from shim.store.files import make_private, refuse_link, sidecar
from shim.store.lock import FileLock
from shim.store.tx import Head, Tx, Unit

_SIDECARS = ("-wal", "-shm", "-journal")

Result = tuple[object, None] | tuple[None, BaseException]
"""What a unit gave, or what it raised."""


class Busy(Exception):
    """Somebody who does not know our lock holds SQLite's: try again."""


def storage_fault(error: sqlite3.Error) -> bool:
    """Whether the store failed, rather than the statement of one unit."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError
    )


def unavailable(error: sqlite3.Error | OSError, path: Path) -> RecordUnavailable:
    """The refusal for a failure of the store, in words that say what to look at."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name == "SQLITE_FULL":
        why = "the disk, or the space that the store may use, is full"
    elif name.startswith("SQLITE_READONLY"):
        why = "the database is read-only"
    elif name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        why = "the database is locked by another program"
    elif name.startswith("SQLITE_CANTOPEN"):
        why = "the database cannot be opened"
    elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        why = "the database is damaged"
    else:
        why = f"the database failed ({error})"
    return RecordUnavailable(f"{why}: {path}")


class Database:
    """Every method runs on the writer's thread, but for the constructor."""

    def __init__(self, path: Path, lock: FileLock) -> None:
        self._path = path
        self._lock = lock
        self._raw: sqlite3.Connection | None = None
        self._watched: tuple[tuple[Path, tuple[int, int]], ...] = ()

    def open(self, wanted: Callable[[], bool]) -> sqlite3.Connection:
        """Make or open the store and bring its schema up to date, waiting for the lock while that is wanted.

        Raises RecordUnavailable.
        """
        if not self._lock.acquire(wanted):
            raise RecordUnavailable(f"another process holds {self._lock.path}")
        try:
            return self._open()
        except (sqlite3.Error, OSError) as error:
            raise unavailable(error, self._path) from error
        finally:
            self._lock.release()

    def _open(self) -> sqlite3.Connection:
        for suffix in _SIDECARS:
            refuse_link(sidecar(self._path, suffix))
        if not refuse_link(self._path):
            make_private(self._path)
        raw = sqlite3.connect(self._path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            schema.version(raw)
            for pragma in ("secure_delete = ON", "fullfsync = ON", "checkpoint_fullfsync = ON", "synchronous = FULL"):
                raw.execute(f"PRAGMA {pragma}")
            self._keep_log(raw)
            raw.execute("BEGIN IMMEDIATE")
            schema.migrate(raw)
            raw.execute("COMMIT")
            # From here on the writer waits by itself, so that it can give up in time.
            raw.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            raw.close()
            raise
        self._raw = raw
        files = (self._path, sidecar(self._path, "-wal"), sidecar(self._path, "-shm"), self._lock.path)
        self._watched = tuple((file, _identity(file)) for file in files)
        return raw

    def _keep_log(self, raw: sqlite3.Connection) -> None:
        if raw.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise RecordUnavailable(f"the file system cannot keep a write-ahead log: {self._path}")

    @property
    def _open_raw(self) -> sqlite3.Connection:
        if self._raw is None:
            raise RecordUnavailable("the store is closed")
        return self._raw

    def begin(self) -> Tx:
        """Begin a transaction. The caller holds the lock. Raises Busy and RecordUnavailable."""
        file = self._lost_file()
        if file is not None:
            raise RecordUnavailable(f"{file} was removed or replaced while it was in use: put it back, or restart")
        raw = self._open_raw
        try:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raw.execute("BEGIN IMMEDIATE")
            return Tx(raw)
        except sqlite3.Error as error:
            if (getattr(error, "sqlite_errorname", "") or "").startswith("SQLITE_BUSY"):
                raise Busy from None
            raise unavailable(error, self._path) from error

    def _lost_file(self) -> Path | None:
        # An open file that lost its name takes writes, and keeps nothing.
        for file, identity in self._watched:
            try:
                if _identity(file) != identity:
                    return file
            except OSError:
                return file
        return None

    def run(self, tx: Tx, units: Sequence[Unit[object]]) -> tuple[list[Result], Head]:
        """Apply the units and commit. What one raises is its own; raises RecordUnavailable when nothing is kept.

        After that exception nothing of the transaction can be seen, and nobody may try it again: if only the last
        sync failed, a crash right now might yet bring it back.
        """
        try:
            results = _together(tx, units)
            if results is None:
                self.rollback()
                self._open_raw.execute("BEGIN IMMEDIATE")
                tx = Tx(self._open_raw)
                results = [_alone(tx, unit) for unit in units]
            self._open_raw.execute("COMMIT")
        except sqlite3.Error as error:
            self.rollback()
            raise unavailable(error, self._path) from error
        return results, tx.head

    def rollback(self) -> None:
        """Undo what is not committed. Never raises: what could not be undone is undone before the next beginning."""
        raw = self._raw
        if raw is not None and raw.in_transaction:
            try:
                raw.execute("ROLLBACK")
            except sqlite3.Error:
                return

    def close(self, wanted: Callable[[], bool]) -> None:
        """Close, under the lock, because the last to close writes the log back into the database."""
        locked = self._lock.acquire(wanted)
        try:
            # Without the lock another process is there, so this one is not the last.
            if self._raw is not None:
                self._raw.close()
                self._raw = None
        finally:
            if locked:
                self._lock.release()


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _together(tx: Tx, units: Sequence[Unit[object]]) -> list[Result] | None:
    # None: some unit failed; which one, and with what, is found by applying each alone.
    try:
        results: list[Result] = [(unit.apply(tx), None) for unit in units]
        tx.flush()
    except sqlite3.Error as error:
        if storage_fault(error):
            raise
        return None
    except Exception:  # noqa: BLE001 - nothing is lost: it is raised again when the unit is applied alone
        return None
    return results


def _alone(tx: Tx, unit: Unit[object]) -> Result:
    try:
        return tx.apply_alone(unit), None
    except sqlite3.Error as error:
        if storage_fault(error):
            raise
        return None, error
    except Exception as error:  # noqa: BLE001 - nothing is lost: it is raised where the unit is awaited
        return None, error
