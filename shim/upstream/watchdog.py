"""Ends the process groups of children when this process ends without having done so itself.

A death signal set on a child is not inherited by what the child starts, and not every system has one. So one small
shell outlives us by an instant: it reads the groups from a pipe, and when the pipe closes, for whatever reason, kills
those it still knows. A child that moves to a session of its own escapes; nothing portable prevents that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess

_log = logging.getLogger("shim.upstream")

_SCRIPT = """
trap '' HUP INT TERM
PATH=/usr/bin:/bin
known=' '
while read -r sign group; do
    case $sign in
        +) known="$known$group " ;;
        -) known="${known%% $group *} ${known#* $group }" ;;
    esac
done
for group in $known; do kill -s KILL -- "-$group" 2>/dev/null; done
"""


class Watchdog:
    """Knows the process groups that must not outlive this process. Started on first use."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()

    def know(self, group: int) -> None:
        """From now on this group dies with us. Returns when the kernel has the message."""
        self._groups.add(group)
        if self._process is None:
            self._start()
        elif not self._tell(f"+ {group}\n"):
            _log.warning("the watchdog process had ended; starting another")
            self._start()

    def forget(self, group: int) -> None:
        """The group has been ended."""
        if group in self._groups:
            self._groups.discard(group)
            self._tell(f"- {group}\n")

    async def stop(self) -> None:
        """End the watchdog. Groups that it still knows are killed by it."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            await asyncio.to_thread(process.wait, 2)
        except subprocess.TimeoutExpired:
            process.kill()

    def _start(self) -> None:
        # A session of its own: a Ctrl-C at the terminal must not reach it before it has done its work.
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        for group in self._groups:
            self._tell(f"+ {group}\n")

    def _tell(self, line: str) -> bool:
        if self._process is None or self._process.stdin is None:
            return False
        try:
            os.write(self._process.stdin.fileno(), line.encode())
        except OSError:
            return False
        return True
