"""Replacing a client's file whole: backed up first, never half-written, never over what somebody else wrote since.

A backup is `FILE.bak-TIME` beside the file, or `FILE.bak-TIME-absent` (empty) where there was none. All files that one
command changes have the same TIME, so that what was done together can be undone together.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shim.clients.errors import Uneditable, Unreadable
from shim.clients.reading import read_bytes
from shim.store.files import sync, sync_folder

_STAMP = re.compile(r"(\d{8}T\d{6}Z)(?:-(\d{1,4}))?(-absent)?")


class Changed(Exception):
    """A file is not any more as it was read."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a file was before a change at the time of a stamp."""

    stamp: str
    path: Path
    absent: bool

    def content(self) -> bytes | None:
        """What the file held; None: there was none. Raises Unreadable."""
        if self.absent:
            return None
        content = read_bytes(self.path)
        if content is None:
            raise Unreadable("it is not there any more")
        return content


def backups(file: Path) -> list[Backup]:
    """The backups of a file, the newest first."""
    found: list[tuple[str, int, Backup]] = []
    prefix = f"{file.name}.bak-"
    try:
        names = [path.name for path in file.parent.iterdir()]
    except OSError:
        return []
    for name in names:
        match = _STAMP.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if match is not None:
            stamp = match[1] + (f"-{match[2]}" if match[2] else "")
            found.append((match[1], int(match[2] or 1), Backup(stamp, file.parent / name, bool(match[3]))))
    return [backup for *_, backup in sorted(found, key=lambda one: one[:2], reverse=True)]


def stamp_for(files: Iterable[Path], now: datetime) -> str:
    """A stamp that no backup of these files has yet, and that comes after those of the same second."""
    taken = {backup.stamp for file in files for backup in backups(file)}
    stamp = first = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    count = 1
    while stamp in taken:
        count += 1
        stamp = f"{first}-{count}"
    return stamp


def back_up(file: Path, content: bytes | None, stamp: str) -> Path:
    """Keep what a file held, for its owner alone. Raises Uneditable."""
    path = file.with_name(f"{file.name}.bak-{stamp}{'-absent' if content is None else ''}")
    try:
        _make_folder(file.parent)
        with _beside(path, content or b"", 0o600) as written:
            _link(written, path)
        sync_folder(file.parent)
    except OSError as error:
        raise Uneditable(f"its backup {path} cannot be written: {error.strerror}") from None
    return path


def replace(file: Path, before: bytes | None, after: bytes | None) -> None:
    """Put what a file shall hold in its place, at once; None: no file. A symbolic link stays, its target changes.

    `before` is what was read (None: there was no file). The mode stays; a new file is for its owner alone. Raises
    Changed when the file holds something else by now, Uneditable where it cannot be written.
    """
    target = Path(os.path.realpath(file))
    if _now(file) != before:
        raise Changed
    try:
        if after is None:
            target.unlink(missing_ok=True)
        else:
            _make_folder(target.parent)
            _put(target, before, after)
        sync_folder(target.parent)
    except OSError as error:
        raise Uneditable(f"it cannot be written: {error.strerror}") from None


def _put(target: Path, before: bytes | None, after: bytes) -> None:
    mode = stat.S_IMODE(target.stat().st_mode) if before is not None else 0o600
    with _beside(target, after, mode) as written:
        # As late as can be: what is written between this look and the next call is lost, and nothing can prevent that.
        if _now(target) != before:
            raise Changed
        if before is not None:
            written.replace(target)
            return
        try:
            _link(written, target)
        except FileExistsError:
            raise Changed from None


@contextmanager
def _beside(target: Path, content: bytes, mode: int) -> Iterator[Path]:
    """A file beside another, whole and on the disk; whoever wants it gives it a name, for it goes in the end."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    written = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            sync(descriptor)
        yield written
    finally:
        written.unlink(missing_ok=True)


def _link(written: Path, target: Path) -> None:
    # Unlike a rename, this does not replace a file that somebody else has just made.
    try:
        target.hardlink_to(written)
    except OSError as error:
        if error.errno not in _NO_LINKS or os.path.lexists(target):
            raise
        written.rename(target)


_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links say."""


def _now(file: Path) -> bytes | None:
    try:
        return read_bytes(file)
    except Unreadable as error:
        raise Uneditable(str(error)) from None


def _make_folder(folder: Path) -> None:
    for missing in reversed([part for part in (folder, *folder.parents) if not part.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
