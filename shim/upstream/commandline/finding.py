"""The program on this machine: where it is, what it really is, and that nobody else can put another in its place."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LINKS: Final = 40
_MANY: Final = ("busybox", "toybox", "coreutils")
_TRUSTED: Final = frozenset({0, 80} if sys.platform == "darwin" else {0})
"""Groups that may write: root's, and on macOS that of administrators, who are root when they want."""


class NotFit(Exception):
    """There is no program that could be used. `str()` says why, and what would be right."""


@dataclass(frozen=True, slots=True)
class Found:
    """`path` is what is started, `real` what it is once all links are followed."""

    path: str
    real: str

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called, and what it really is called. One that is many programs is the one it is called by."""
        called, really = Path(self.path).name, Path(self.real).name
        return (called,) if really in (called, *_MANY) else (called, really)

    @property
    def is_still(self) -> bool:
        """Whether it is what it was when it was found."""
        return os.path.realpath(self.path) == self.real


def found(program: str, folders: Sequence[str]) -> Found:
    """A program by its name in one of the folders, or by its path. Raises NotFit."""
    for folder in folders:
        if Path(folder).exists():
            _guard(folder)
    if "/" in program:
        return _usable(program)
    for folder in folders:
        if (candidate := Path(folder, program)).is_file() and os.access(candidate, os.X_OK):
            return _usable(str(candidate))
    raise NotFit(f"there is no program {program} in {', '.join(folders)}; install it, or write its folder as `path`")


def _usable(path: str) -> Found:
    if not Path(path).is_file():
        raise NotFit(f"there is no program {path}; install it, or name another")
    if not os.access(path, os.X_OK):
        raise NotFit(f"{path} may not be executed; chmod +x it, or name another")
    _guard(path)
    return Found(path, os.path.realpath(path))


def _guard(path: str) -> None:
    for step in _steps(path):
        if (who := _writer(step)) is not None:
            raise NotFit(f"{who} can write {step}, and so choose what runs; take that from them (chown, chmod go-w)")


def _writer(path: str) -> str | None:
    try:
        found = Path(path).lstat()
    except OSError as error:
        raise NotFit(f"{path} cannot be looked at ({error.strerror})") from None
    if found.st_uid not in (0, os.geteuid()):
        return f"the user {found.st_uid}"
    # In a folder with the sticky bit each has only what is its own; a link has no mode.
    if stat.S_ISLNK(found.st_mode) or (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
        return None
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    if found.st_mode & stat.S_IWGRP and found.st_gid not in _TRUSTED:
        return f"the group {found.st_gid}"
    return None


def _steps(path: str) -> Iterator[str]:
    """Everything that decides what a path leads to: each folder and link on the way, and the end of it."""
    left, at, links = Path(path).absolute().parts[::-1], "/", 0
    stack = list(left[:-1])
    yield at
    while stack:
        part = stack.pop()
        if part == "..":
            at = str(Path(at).parent)
            continue
        step = str(Path(at, part))
        yield step
        if Path(step).is_symlink():
            links += 1
            if links > _LINKS:
                raise NotFit(f"{path} goes through too many links")
            target = Path(step).readlink()
            at = "/" if target.is_absolute() else at
            stack += [one for one in target.parts[::-1] if one != "/"]
        else:
            at = step
