"""The files that are written beside a client's before they get a name: made for their owner, and swept up after a kill.

One is called `.FILE.mcp-shim-XXXXXXXX`, FILE being the file or its backup, and is locked by whoever writes it: the lock
goes with the process, however it ends, so one without it is nobody's any more. Such a leftover may hold keys.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shim.store.files import sync

_MARK = ".mcp-shim-"
_LONGEST = 100
"""Characters of a file's name that are repeated."""
_NAME = re.compile(r"(?:\.bak-\d{8}T\d{6}Z(?:-\d{1,4})?(?:-absent|-with)?)?\.mcp-shim-[a-z0-9_]{8}")


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is whole and on the disk, and has no name of its own yet."""

    path: Path
    descriptor: int


@contextmanager
def beside(target: Path, content: bytes) -> Iterator[Written]:
    """A file beside another, 0600; whoever wants it gives it a mode and a name, for it goes in the end."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:_LONGEST]}{_MARK}", dir=target.parent)
    written = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # Where a file system has no locks, no leftover is known for one either.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(content)
            file.flush()
            sync(descriptor)
            yield Written(written, descriptor)
    finally:
        written.unlink(missing_ok=True)


def leftovers(file: Path) -> list[Path]:
    """What killed processes left beside a client's file, and beside the one that it links to, in order of names."""
    target = Path(os.path.realpath(file))
    # One and the same folder, by whichever way, is looked at once.
    folders = {os.path.realpath(path.parent) + os.sep + path.name: path for path in (file, target)}
    return sorted(found for path in folders.values() for found in _left(path))


def sweep(file: Path, began: float) -> list[Path]:
    """Remove what was left before the running command `began` (seconds since the epoch); what was removed."""
    removed: list[Path] = []
    for path in leftovers(file):
        with suppress(OSError):
            if path.lstat().st_mtime < began:
                path.unlink()
                removed.append(path)
    return removed


def _left(file: Path) -> Iterator[Path]:
    prefix = f".{file.name[:_LONGEST]}"
    try:
        names = [path.name for path in file.parent.iterdir() if path.name.startswith(prefix)]
    except OSError:
        return
    for name in names:
        if _NAME.fullmatch(name.removeprefix(prefix)) and _is_nobodys(file.parent / name):
            yield file.parent / name


def _is_nobodys(path: Path) -> bool:
    """Whether it is a plain file of this user that no process is writing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
