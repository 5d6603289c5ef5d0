"""Programs under test, in upstreams that run; and what is left of them."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shim.model import Json, JsonObject
from shim.upstream import guard
from shim.upstream.config import UpstreamBlock

RELAY = """
import os
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
"""
RELAYS = f"for n in 1 2 3; do env -i setsid {sys.executable} -I -S -c '{RELAY}' & done"
"""Each forks and ends without pause, every time in a session of its own, and with nothing in its environment."""


def block(program: str, tool: dict[str, Any], **keys: Any) -> UpstreamBlock:
    """An upstream with one tool, `t`."""
    return UpstreamBlock.model_validate({"program": program, "tools": {"t": tool}, **keys})


def script(folder: Path, text: str, name: str = "tool") -> str:
    """A program of a few lines of shell; what it is called with is its own business."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def content(result: JsonObject | None) -> list[Json]:
    """The texts of a result."""
    assert result is not None
    return [one.get("text") for one in result["content"]]


def alive(below: Path) -> list[str]:
    """The command lines of processes whose home is below a folder."""
    mark = b"HOME=" + os.fsencode(below) + b"/"
    return [line for process, line in _processes() if mark in process]


@contextmanager
def held(path: Path) -> Iterator[Callable[[], bool]]:
    """A FIFO that programs open for writing; whether each that did has ended, with all that has inherited it."""
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield lambda: bool(select.select([reading], [], [], 0)[0]) and os.read(reading, 1) == b""
    finally:
        os.close(reading)


def guards_of(pid: int) -> list[int]:
    """The process that guards come from, then they."""
    found = _children(pid)
    first = next(one for one in found if os.fsencode(guard.__file__) in Path(f"/proc/{one}/cmdline").read_bytes())
    return [first, *_children(first)]


def _children(pid: int) -> list[int]:
    # Of a process of several threads, each has its own.
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _processes() -> Iterator[tuple[bytes, str]]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        yield environment, line


def left(base: Path) -> list[str]:
    """What there is in the folders of calls below a folder for temporary things."""
    return sorted(
        str(path) for root in base.glob("mcp-shim-calls-*") for path in root.rglob("*") if path.name != "lock"
    )
