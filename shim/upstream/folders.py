"""Private folders that exist only during a call, and are gone however this process ends.

All lie in one folder of this process. The process that guards children removes that when we end, however we do; where
it was killed, too, the next start does, which knows by a lock that nobody holds any more that the owner is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shim.upstream.guarding import Guards

_PREFIX: Final = "mcp-shim-calls-"
_LOCK: Final = "lock"


class Folders:
    """Makes them below a folder for temporary things, readable by nobody else."""

    def __init__(self, base: str, guards: Guards) -> None:
        self._base = Path(base).absolute()
        self._guards = guards
        self._root: Path | None = None
        self._lock = -1
        self._numbers = itertools.count(1)

    def sweep(self) -> None:
        """Remove what processes that are gone have left."""
        for left in _left(self._base):
            remove(left)

    def make(self) -> Path:
        """A new empty one. Raises OSError."""
        if self._root is None or not self._root.is_dir():
            self._root = self._own()
        folder = self._root / str(next(self._numbers))
        folder.mkdir(mode=0o700)
        return folder

    def close(self) -> None:
        """There will be no more. To be called once all calls are over."""
        root, self._root = self._root, None
        if root is not None:
            remove(root)
            os.close(self._lock)

    def _own(self) -> Path:
        while True:
            root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._base))
            self._lock = os.open(root / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if root.is_dir():
                    self._guards.clear(root)
                    return root
            # A start that swept has taken it for one that was left.
            os.close(self._lock)


def remove(folder: Path) -> None:
    """All of it, whatever a program did with the rights of what is in it, and however deep. Links are not followed."""
    _flatten(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _flatten(folder: Path) -> None:
    """Every folder below it right in it, and all open to us: a tree is removed with a descriptor for each level."""
    name, numbers = os.urandom(8).hex(), itertools.count(1)
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
    left = [str(folder)]
    while left:
        at = left.pop()
        for below in _folders(at):
            with contextlib.suppress(OSError):
                Path(below).chmod(0o700)
                if at == str(folder):
                    left.append(below)
                else:
                    left.append(str(Path(below).rename(folder / f"{name}-{next(numbers)}")))


def _folders(at: str) -> list[str]:
    try:
        with os.scandir(at) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _left(base: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for folder in base.glob(f"{_PREFIX}*"):
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                continue
            with contextlib.suppress(OSError):
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield folder
                finally:
                    os.close(lock)
