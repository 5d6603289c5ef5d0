"""Files and folders that only their owner can read, made without following a planted link."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from shim.errors import RecordUnavailable

LOCK, TURN, ALIVE, CHECKPOINTS, KEY = ".lock", ".turn", ".alive", ".checkpoints", ".key"
BESIDE = frozenset((LOCK, TURN, ALIVE, CHECKPOINTS, KEY))
"""What lies beside a store, by suffix: the name before it is the store's own without its last suffix."""

_OURS = os.O_CLOEXEC | os.O_NOFOLLOW


def private_folder(path: Path) -> None:
    """Make a folder, and what is missing above it, 0700. What exists is left as it is.

    Raises RecordUnavailable when that cannot be done.
    """
    missing: list[Path] = []
    for folder in (path, *path.parents):
        if folder.is_dir():
            break
        missing.append(folder)
    for folder in reversed(missing):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            if not folder.is_dir():
                raise RecordUnavailable(f"{folder} is not a folder") from None
        except OSError as error:
            raise RecordUnavailable(f"{folder} cannot be made: {error.strerror}") from None


def refuse_link(path: Path) -> bool:
    """True when a regular file is there, False when nothing is.

    Looks without opening: closing another descriptor of a database drops the locks that SQLite holds on it. Raises
    RecordUnavailable for a link or anything else that is not a regular file.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RecordUnavailable(f"{path} cannot be looked at: {error.strerror}") from None
    if stat.S_ISLNK(mode):
        raise RecordUnavailable(f"{path} is a symbolic link; name the file itself")
    if not stat.S_ISREG(mode):
        raise RecordUnavailable(f"{path} is not a regular file")
    return True


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a file, made 0600 when missing, never through a link. Raises RecordUnavailable."""
    try:
        return os.open(path, flags | os.O_CREAT | _OURS, 0o600)
    except OSError as error:
        raise RecordUnavailable(f"{path} cannot be opened: {error.strerror}") from None


def sync(descriptor: int) -> None:
    """Make what was written survive a power cut, also where `fsync` alone leaves it in the drive's cache (macOS)."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        fcntl.fcntl(descriptor, full)
    else:
        os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private(path: Path) -> bool:
    """Make an empty file 0600 unless it exists. True when it was made. Raises RecordUnavailable."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OURS, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise RecordUnavailable(f"{path} cannot be made: {error.strerror}") from None
    os.close(descriptor)
    sync_folder(path.parent)
    return True


def name_problem(path: Path) -> str | None:
    """Why a store cannot have this name, or None: its own suffix may be none that the files beside it have."""
    if path.suffix.lower() not in BESIDE:
        return None
    return f"a store cannot be called {path.name}: a file beside it has that suffix; call it {path.stem}.db"


def beside(path: Path, suffix: str) -> Path:
    """`var/shim.db` and `.lock` make `var/shim.lock`: one of the `BESIDE` of a store.

    Raises RecordUnavailable where that could be the store itself.
    """
    problem = name_problem(path)
    if problem is not None:
        raise RecordUnavailable(problem)
    return path.with_name(path.stem + suffix)


def sidecar(path: Path, suffix: str) -> Path:
    """`var/shim.db` and `-wal` make `var/shim.db-wal`: the files that SQLite itself puts beside a database."""
    return path.with_name(path.name + suffix)
