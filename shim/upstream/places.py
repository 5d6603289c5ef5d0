"""What of an upstream's block is a path."""

from __future__ import annotations

from pathlib import Path

from shim import paths
from shim.upstream.config import UpstreamBlock


def absolute(block: UpstreamBlock, written: Path, folder: Path) -> UpstreamBlock:
    """The block with absolute paths. `written` is the folder of the file it stands in, `folder` the configuration's.

    A process that goes on between calls runs in the latter unless `cwd` says else.
    """
    block = paths.absolute(block, written)
    if block.command:
        program, *arguments = block.command
        first = paths.resolved(written, program) if "/" in program else program
        block = block.model_copy(update={"command": (first, *arguments)})
    return block.model_copy(update={"cwd": block.cwd or str(folder)}) if block.command or block.python else block
