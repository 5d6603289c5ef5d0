"""What a child has started outside its own process group: found while the child lives, ended after it.

Linux only. A process is held by a descriptor (pidfd), so that a number that was given to another one meanwhile is
never hit. What has lost its parent before the look, or starts after it, is not found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

_MOST = 256


class Strays:
    """The descendants of a process whose group is another than its own, as of now; of none: nothing."""

    def __init__(self, leader: int | None) -> None:
        self._held: list[int] = []
        if sys.platform != "linux" or leader is None:
            return
        below, seen = _children(leader), {leader}
        while below and len(seen) < _MOST:
            pid = below.pop()
            if pid in seen:
                continue
            seen.add(pid)
            below.extend(_children(pid))
            with contextlib.suppress(OSError):
                if os.getpgid(pid) != leader:
                    self._held.append(os.pidfd_open(pid))

    def end(self) -> None:
        """Kill those that are still there. To be called once."""
        for held in self._held:
            with contextlib.suppress(OSError):
                if sys.platform == "linux":
                    signal.pidfd_send_signal(held, signal.SIGKILL)
            os.close(held)
        self._held.clear()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    # Of every thread: each lists only what it has started itself.
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.extend(map(int, (task / "children").read_text().split()))
    return found
