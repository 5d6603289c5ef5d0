"""Programs under test, in upstreams that run; and what is left of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shim.model import Json, JsonObject
from shim.upstream.config import UpstreamBlock


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
