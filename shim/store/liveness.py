"""Which processes that write to a store still live: each holds a lock on a file of its own, named by its instance id.

The lock goes with the process, however it ends; a file alone says nothing.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shim.errors import RecordUnavailable
from shim.store.files import ALIVE, beside, open_private, private_folder

_INSTANCE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def _folder(store: Path) -> Path:
    return beside(store, ALIVE)


@contextmanager
def living(store: Path, instance: str) -> Iterator[None]:
    """Be seen as alive under this id. Raises RecordUnavailable when the file cannot be made or the id is taken."""
    if _INSTANCE.fullmatch(instance) is None:
        raise ValueError(f"{instance!r} is not an instance id")
    folder = _folder(store)
    private_folder(folder)
    final, making = folder / instance, folder / f"{instance}.new"
    descriptor = open_private(making, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Locked before it has its name: nobody can find it unlocked.
        making.rename(final)
    except OSError as error:
        os.close(descriptor)
        raise RecordUnavailable(f"{final} cannot be made: {error.strerror}") from None
    try:
        yield
    finally:
        with suppress(OSError):
            final.unlink()
        os.close(descriptor)


def is_alive(store: Path, instance: str) -> bool:
    """Whether the process with this instance id lives."""
    if _INSTANCE.fullmatch(instance) is None:
        return False
    try:
        descriptor = os.open(_folder(store) / instance, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def alive(store: Path) -> frozenset[str]:
    """The instance ids of all processes that have the store open now."""
    with suppress(OSError):
        return frozenset(path.name for path in _folder(store).iterdir() if is_alive(store, path.name))
    return frozenset()


def sweep(store: Path) -> None:
    """Remove the files of processes that are gone."""
    with suppress(OSError):
        for path in _folder(store).iterdir():
            if _INSTANCE.fullmatch(path.name) and not is_alive(store, path.name):
                with suppress(OSError):
                    path.unlink()
