"""Power cuts, simulated: what a disk still has when only what was synced is sure.

A process runs with `disk.c` preloaded, which logs every write, cut, sync and removal in order. A cut at an instant is
a prefix of that log: what a file held at its last sync is there; of what came after, each piece of 512 bytes is there
or not. A removed file stays away once its folder is synced.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HEAD = struct.Struct("<cIQQ")
_SECTOR = 512


@dataclass(frozen=True)
class Op:
    """`kind` is W (data at offset), T (cut to offset), S (sync of a file or folder) or U (removal)."""

    kind: str
    path: str
    offset: int
    data: bytes


@cache
def library(folder: Path) -> Path:
    """The compiled library."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise AssertionError("no C compiler: install one (apt install gcc; on Fedora: dnf install gcc)")
    if sys.platform != "linux":
        raise AssertionError("power cuts are simulated on Linux only: run this test there")
    made = folder / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl", "-lpthread"], check=True)
    return made


def environment(lib: Path, root: Path, log: Path | None = None, fault: Path | None = None) -> dict[str, str]:
    """The environment of a process on that disk."""
    more = {"LD_PRELOAD": str(lib), "DISK_ROOT": str(root)}
    if log is not None:
        more["DISK_LOG"] = str(log)
    if fault is not None:
        more["DISK_FAULT"] = str(fault)
    return {**os.environ, **more}


def read_log(log: Path) -> list[Op]:
    """All operations, in order; a torn last one is left out."""
    content, found, position = log.read_bytes(), [], 0
    while position + _HEAD.size <= len(content):
        kind, path_length, offset, length = _HEAD.unpack_from(content, position)
        position += _HEAD.size
        carried = length if kind == b"W" else 0
        end = position + path_length + carried
        if end > len(content):
            break
        path = content[position : position + path_length].decode()
        found.append(Op(kind.decode(), path, offset, content[position + path_length : end]))
        position = end
    return found


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "T":
        if len(content) > op.offset:
            del content[op.offset :]
        else:
            content.extend(bytes(op.offset - len(content)))
        return
    end = op.offset + len(op.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[op.offset : end] = op.data


def _torn(op: Op, chance: random.Random) -> Iterator[Op]:
    if op.kind == "T":
        if chance.random() < 0.5:
            yield op
        return
    for start in range(0, len(op.data), _SECTOR):
        if chance.random() < 0.5:
            yield Op("W", op.path, op.offset + start, op.data[start : start + _SECTOR])


def after_cut(ops: list[Op], chance: random.Random) -> dict[str, bytes]:
    """What each file holds when the power is cut after the last of these operations."""
    sure: dict[str, bytearray] = {}
    unsure: dict[str, list[Op]] = {}
    removed: set[str] = set()
    for op in ops:
        if op.kind == "S":
            for written in unsure.pop(op.path, []):
                _apply(sure.setdefault(op.path, bytearray()), written)
            for path in [path for path in removed if str(Path(path).parent) == op.path]:
                removed.discard(path)
                sure.pop(path, None)
                unsure.pop(path, None)
        elif op.kind == "U":
            removed.add(op.path)
        else:
            removed.discard(op.path)
            unsure.setdefault(op.path, []).append(op)
    for path, waiting in unsure.items():
        content = sure.setdefault(path, bytearray())
        for op in waiting:
            for piece in _torn(op, chance):
                _apply(content, piece)
    gone = {path for path in removed if chance.random() < 0.5}
    return {path: bytes(content) for path, content in sure.items() if path not in gone}
