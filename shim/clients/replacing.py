"""Replacing a client's file whole: backed up first, never half-written, never over what somebody else wrote since.

A backup is `FILE.bak-TIME` beside the file, or `FILE.bak-TIME-absent` (empty) where there was none. All files that one
command changes have the same TIME, so that what was done together can be undone together; where there are several,
`FILE.bak-TIME-with` beside the user's names the others.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shim.clients.errors import Uneditable, Unreadable
from shim.clients.reading import MOST, decoded, json_document, read_bytes
from shim.clients.temporaries import beside
from shim.store.files import sync_folder

_STAMP = re.compile(r"(\d{8}T\d{6}Z)(?:-(\d{1,4}))?(-absent|-with)?")


_WITH = "-with"


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
    found = [
        (match[1], int(match[2] or 1), Backup(_stamp(match), path, bool(match[3])))
        for path, match in _beside_it(file)
        if match[3] != _WITH
    ]
    return [backup for *_, backup in sorted(found, key=lambda one: one[:2], reverse=True)]


def _beside_it(file: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    prefix = f"{file.name}.bak-"
    try:
        names = [path.name for path in file.parent.iterdir()]
    except OSError:
        return
    for name in names:
        match = _STAMP.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if match is not None:
            yield file.parent / name, match


def _stamp(match: re.Match[str]) -> str:
    return match[1] + (f"-{match[2]}" if match[2] else "")


def stamp_for(files: Iterable[Path], now: datetime) -> str:
    """A stamp that no backup of these files has yet, and that comes after those of the same second."""
    taken = {_stamp(match) for file in files for _, match in _beside_it(file)}
    stamp = first = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    count = 1
    while stamp in taken:
        count += 1
        stamp = f"{first}-{count}"
    return stamp


def back_up(file: Path, content: bytes | None, stamp: str) -> Path:
    """Keep what a file held, for its owner alone. Raises Uneditable."""
    return _keep(file, f"{stamp}{'-absent' if content is None else ''}", content or b"")


def note(file: Path, stamp: str, others: Sequence[Path]) -> Path:
    """Keep which files were changed together with the user's. Raises Uneditable."""
    return _keep(file, stamp + _WITH, json.dumps({"files": [str(other) for other in others]}).encode())


def noted(file: Path, stamp: str) -> list[Path]:
    """The files that were changed together with the user's. Raises Unreadable."""
    content = read_bytes(_note(file, stamp))
    listed = json_document(decoded(content)).get("files") if content is not None else []
    return [Path(one) for one in listed if isinstance(one, str)] if isinstance(listed, list) else []


def _note(file: Path, stamp: str) -> Path:
    return file.with_name(f"{file.name}.bak-{stamp}{_WITH}")


def discard(file: Path, backup: Backup, content: bytes | None) -> bool:
    """Remove a backup that holds this and is a plain file of this user, and the note with it; whether it is gone."""
    with suppress(OSError):
        descriptor = os.open(backup.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            found = os.fstat(descriptor)
            is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
            if not is_ours or opened.read(MOST + 1) != (content or b""):
                return False
        # The note first: a backup without one is looked at as one that was made alone.
        _note(file, backup.stamp).unlink(missing_ok=True)
        backup.path.unlink()
        sync_folder(file.parent)
        return True
    return False


def _keep(file: Path, suffix: str, content: bytes) -> Path:
    path = file.with_name(f"{file.name}.bak-{suffix}")
    try:
        _make_folder(file.parent)
        with beside(path, content) as written:
            _link(written.path, path)
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
    with beside(target, after) as written:
        # As late as can be: what is written between this look and the next call is lost, and nothing can prevent that.
        if _now(target) != before:
            raise Changed
        if before is not None:
            # Not before it takes the place: what a kill leaves behind may hold keys, and is for its owner alone.
            os.fchmod(written.descriptor, mode)
            written.path.replace(target)
            return
        try:
            _link(written.path, target)
        except FileExistsError:
            raise Changed from None


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
