"""Files that one command makes all together or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from shim.cli.errors import problem
from shim.store.files import sync, sync_folder


class Making:
    """A context manager: what was made in it is taken away again when it is left by an exception, Ctrl-C too.

    Nothing that was there before is written over, and no link is followed where something is made. All is 0600, folders
    0700, and on the disk before the next is made. Raises Stop where something cannot be made.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> Making:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is None:
            return
        for undo in reversed(self._undo):
            with contextlib.suppress(OSError):
                undo()

    def otherwise(self, undo: Callable[[], None]) -> None:
        """Something was made elsewhere, and `undo` takes it away. It may raise OSError."""
        self._undo.append(undo)

    def folder(self, path: Path) -> bool:
        """Make a folder and those above it; whether it was made. One that is there stays as it is."""
        missing = [one for one in (path, *path.parents) if not os.path.lexists(one)]
        for one in reversed(missing):
            try:
                one.mkdir(mode=0o700)
            except OSError as error:
                raise problem(f"{one} cannot be made: {error.strerror}") from None
            self._undo.append(one.rmdir)
        if not path.is_dir():
            raise problem(f"{path} is not a folder")
        return bool(missing)

    def private_folder(self, path: Path) -> bool:
        """Make a folder for keys; whether it was made. One that is there has to be its owner's own, and no link."""
        made = self.folder(path)
        mode = path.lstat()
        if not stat.S_ISDIR(mode.st_mode) or mode.st_uid != os.geteuid() or mode.st_mode & 0o077:
            raise problem(f"{path} is there already, and is not a folder that only you can open; chmod 700 it")
        return made

    def file(self, path: Path, text: str) -> None:
        """Make a file."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise problem(f"{path} cannot be made: {error.strerror}") from None
        self._undo.append(path.unlink)
        _write(descriptor, path, text)

    def draft(self, path: Path, text: str) -> Path:
        """A file beside `path` with this text, until `settle` or the end."""
        try:
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        except OSError as error:
            raise problem(f"{path} cannot be made: {error.strerror}") from None
        draft = Path(name)
        self._undo.append(draft.unlink)
        _write(descriptor, path, text)
        return draft

    def settle(self, draft: Path, path: Path) -> None:
        """Give a draft its real name, whole, unless something has that name by now."""
        try:
            os.link(draft, path)
        except FileExistsError:
            raise problem(f"{path} was made by somebody else meanwhile; nothing was written") from None
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise problem(f"{path} cannot be made: {error.strerror}") from None
            # A file system without hard links: the name is taken first, and then filled at one stroke.
            self.file(path, "")
            draft.replace(path)
        else:
            self._undo.append(path.unlink)
            draft.unlink()
        sync_folder(path.parent)


def _write(descriptor: int, path: Path, text: str) -> None:
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            sync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise problem(f"{path} cannot be written: {error.strerror}") from None
