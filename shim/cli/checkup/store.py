"""The record's store: whether it opens, what stands in it, and whether it can grow."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shim.cli.checkup.checks import Check, Section, counted
from shim.cli.checkup.installation import SQLITE_MENDED
from shim.cli.options import store_path
from shim.errors import RecordUnavailable

if TYPE_CHECKING:
    from shim.config.configuration import Configuration
    from shim.store.reader import Reader

_LOW, _FULL = 2**30, 64 * 2**20
"""Bytes that are free: below the first it is time to act, below the second calls will soon be refused."""

_SLOW = 0.1
"""Seconds of one synced write from which calls feel it: each waits for two."""

_say = Section("store")


def checks(configuration: Configuration) -> Iterator[Check]:
    """All lines of the section. Nothing is written to the record; one small file is made beside it and removed."""
    from shim.store.files import CHECKPOINTS, beside
    from shim.store.reader import Reader

    path = store_path(configuration)
    if os.path.lexists(path):
        try:
            with Reader(path) as reader:
                yield from _inside(reader, configuration)
        except RecordUnavailable as error:
            yield _say.error("record", str(error), "mend what it says, put a copy back, or name another store")
    elif os.path.lexists(left := beside(path, CHECKPOINTS)):
        yield _say.error("record", f"{path} is gone, {left} is not", "put the store back, or name another `store`")
    else:
        yield _say.info("record", f"{path}: nothing was recorded yet; the first start makes it")
    yield from _below(path)


def _inside(reader: Reader, configuration: Configuration) -> Iterator[Check]:
    from shim.store.liveness import alive

    head = reader.head()
    events = head.seq if head is not None else 0
    yield _say.ok("record", f"{reader.path}: schema {reader.schema}, {counted(events, 'event')}")
    yield from _checkpoints(reader, configuration)
    now = alive(reader.path)
    yield _processes(len(now))
    lost = sum(count for process, count in reader.unfinished().items() if process not in now)
    if lost:
        yield _say.warning(
            "unfinished",
            f"{counted(lost, 'call')} without an outcome, of processes that are gone; the next start says unknown",
            "mcp-shim log list --status unknown",
        )


def _processes(alive: int) -> Check:
    if alive > 1 and sqlite3.sqlite_version_info < SQLITE_MENDED:
        mended = ".".join(map(str, SQLITE_MENDED))
        return _say.warning(
            "processes",
            f"{alive} processes share the store with SQLite {sqlite3.sqlite_version}; they take turns, other programs"
            f" that write to it do not, and before {mended} that could damage it",
            f"let no other program write to the store, or use a Python with SQLite {mended}",
        )
    return _say.ok("processes", f"{alive} running now")


def _checkpoints(reader: Reader, configuration: Configuration) -> Iterator[Check]:
    from shim.record.checkpoints import Checkpoint, key_path, load_key

    file = Path(configuration.record.key) if configuration.record.key is not None else key_path(reader.path)
    newest = reader.last_checkpoint()
    if newest is None:
        yield _say.info("checkpoint", "none yet: one is made within a minute of news, and at each stop")
    else:
        yield _say.ok("checkpoint", f"the newest is of event {newest.seq}, {newest.time}")
    if not os.path.lexists(file):
        if newest is not None:
            yield _say.error("key", f"{file}, which signed the checkpoints, is gone", "put the key back from a copy")
        return
    try:
        key = load_key(file).public_key()
    except RecordUnavailable as error:
        yield _say.error("key", str(error), f"mend what it says, or put the key back: {shlex.quote(str(file))}")
        return
    if newest is None:
        yield _say.ok("key", f"{file} can sign")
    elif Checkpoint(newest.seq, newest.hash.hex(), newest.time, newest.signature).is_signed_by(key):
        yield _say.ok("key", f"{file} signed the newest checkpoint")
    else:
        yield _say.error(
            "key",
            f"{file} is not the key that signed the newest checkpoint: {reader.path} was edited, or the key replaced",
            "put the key back from a copy; mcp-shim log verify --key PUBLIC checks with the old one",
        )


def _below(path: Path) -> Iterator[Check]:
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
        yield _space(folder, free)
        yield _writing(folder)
    except OSError as error:
        yield _say.error("disk", f"{folder}: {error.strerror}", f"make it writable: ls -ld {shlex.quote(str(folder))}")


def _space(folder: Path, free: int) -> Check:
    text = f"{free // 2**20} MiB are free in {folder}"
    if free < _FULL:
        return _say.error("disk", f"{text}: without room every call is refused", "make room")
    if free < _LOW:
        return _say.warning("disk", text, "make room before calls are refused")
    return _say.ok("disk", text)


def _writing(folder: Path) -> Check:
    from shim.store.files import sync

    began = time.perf_counter()
    with tempfile.TemporaryFile(dir=folder, prefix=".mcp-shim-doctor-") as file:
        file.write(b"\0" * 4096)
        file.flush()
        sync(file.fileno())
    took = time.perf_counter() - began
    text = f"a synced write to {folder} took {took * 1000:.1f} ms"
    if took > _SLOW:
        return _say.warning("sync", f"{text}; every call waits for two", "move the store to a faster disk")
    return _say.ok("sync", text)
