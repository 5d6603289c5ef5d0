"""Waiting for more of the record until somebody says stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_EVERY = 0.25
_never = threading.Event()


class _Stopped(Exception):
    pass


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stopped


@contextmanager
def until_stopped() -> Iterator[None]:
    """Interrupting (Ctrl-C) or terminating the process is how the block ends well."""
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _Stopped:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait() -> None:
    """Let a moment pass between two looks at the record."""
    _never.wait(_EVERY)
