"""Real processes to measure: started, waited for until they serve, stopped, and weighed."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

START = 60.0
"""Seconds that a start may take."""

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[1]


class DidNotStart(Exception):
    """A process that does not serve; the text is its last words."""


@dataclass(frozen=True)
class Weight:
    """Memory of one process, its children with it, in MiB. `pss` shares what is shared; None where nobody says."""

    rss: float
    pss: float | None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Started:
    """A process, and the file that takes what it writes."""

    process: asyncio.subprocess.Process
    output: Path

    def last_words(self) -> str:
        return self.output.read_text(errors="replace")[-2000:]

    async def url(self, pattern: re.Pattern[str]) -> str:
        """The URL that it prints once it serves, the pattern's first group. Raises DidNotStart."""
        async with self._waiting():
            while not (match := pattern.search(self.output.read_text(errors="replace"))):
                await self._pause()
        return match[1]

    async def accepts(self, port: int) -> None:
        """Returns once something listens on a port. Raises DidNotStart."""
        async with self._waiting():
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await self._pause()
                else:
                    writer.close()
                    return

    @asynccontextmanager
    async def _waiting(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(START):
                yield
        except TimeoutError:
            raise DidNotStart(f"it did not serve within {START:.0f} s: {self.last_words()}") from None

    async def _pause(self) -> None:
        if self.process.returncode is not None:
            raise DidNotStart(f"it ended at once: {self.last_words()}")
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(
    command: Sequence[str | Path], folder: Path, name: str, *, more: Mapping[str, str] | None = None
) -> AsyncIterator[Started]:
    """A process with an environment of its own, until the block ends; what it writes goes to `NAME.out` in a folder."""
    env = {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "HOME": str(folder), "LANG": "C.UTF-8"}
    output = folder / f"{name}.out"
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={**env, **(more or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        yield Started(process, output)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), START)
            except TimeoutError:
                process.kill()


def weigh(pid: int) -> Weight:
    """What a process and all below it hold now."""
    family = [pid, *_children(pid)]
    if Path("/proc/self/smaps_rollup").exists():
        rss, pss = zip(*(_rollup(member) for member in family), strict=True)
        return Weight(sum(rss) / 1024, sum(pss) / 1024)
    listed = subprocess.run(["ps", "-o", "rss=", "-p", ",".join(map(str, family))], capture_output=True, check=True)
    return Weight(sum(map(int, listed.stdout.split())) / 1024, None)


def cpu_seconds(pid: int) -> float | None:
    """Processor time that a process has used so far, its ended children's with it; None where nobody says."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None
    # After the name, which may hold anything: user and system time of the process, then of its children.
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _rollup(pid: int) -> tuple[int, int]:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Rss"].split()[0]), int(fields["Pss"].split()[0])


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [child for child, parent in pairs if parent == pid]
    return found + [below for child in found for below in _children(child)]
