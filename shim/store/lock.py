"""The lock that lets one process at a time write, fairly.

SQLite's own busy handler starves under several processes. `flock` on a file of its own does not, but a blocking
`flock` can be neither timed out nor cancelled, so it is tried without blocking. Between tries another process could
slip in again and again; a second lock, the turnstile, stops that: who waits for the lock waits inside the turnstile,
and whoever has just released the lock has to pass it first.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from shim.store.files import LOCK, TURN, beside, open_private

_PATIENCE = 0.25
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.001


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class FileLock:
    """`NAME.lock` and `NAME.turn` beside the store. For one thread at a time."""

    def __init__(self, store: Path) -> None:
        self.path = beside(store, LOCK)
        self._lock = open_private(self.path, os.O_RDWR)
        self._turn = open_private(beside(store, TURN), os.O_RDWR)

    def acquire(self, wanted: Callable[[], bool]) -> bool:
        """Wait for the lock while it is wanted. False when it was not had.

        A stopped process may hold the turnstile without holding the lock: after a quarter of a second the turnstile
        is passed by.
        """
        inside = _try(self._turn)
        if inside and _try(self._lock):
            fcntl.flock(self._turn, fcntl.LOCK_UN)
            return True
        impatient = time.monotonic() + _PATIENCE
        pause = _FIRST_PAUSE
        try:
            while wanted():
                # The spread keeps waiters from trying in step.
                time.sleep(pause * (0.5 + random.random()))  # noqa: S311 - a pause is no secret
                inside = inside or _try(self._turn)
                # Only one waits inside, so it may look often.
                pause = _FIRST_PAUSE if inside and time.monotonic() < impatient else min(pause * 1.5, _LONGEST_PAUSE)
                if (inside or time.monotonic() > impatient) and _try(self._lock):
                    return True
            return False
        finally:
            if inside:
                fcntl.flock(self._turn, fcntl.LOCK_UN)

    def release(self) -> None:
        """Let the next in."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give up both files; what was held is released."""
        os.close(self._lock)
        os.close(self._turn)
