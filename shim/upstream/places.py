"""What of an upstream's block is a path."""

from __future__ import annotations

from pathlib import Path

from shim import paths
from shim.upstream.config import UpstreamBlock


def absolute(block: UpstreamBlock, written: Path, folder: Path) -> UpstreamBlock:
    """The block with absolute paths. `written` is the folder of the file it stands in, `folder` the configuration's.

    A server's own command runs in the latter unless `cwd` says else.
    """
    block = paths.absolute(block, written)
    if not block.command:
        return block
    program, *arguments = block.command
    first = paths.resolved(written, program) if "/" in program else program
    return block.model_copy(update={"command": (first, *arguments), "cwd": block.cwd or str(folder)})
