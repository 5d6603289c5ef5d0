"""What of an upstream's block is a path, and where others on the machine see what is in a call."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from shim import paths
from shim.upstream.commandline import config as commandline
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
    if block.tools:
        tools = commandline.absolute(block.tools, partial(paths.resolved, written))
        block = block.model_copy(update={"tools": tools})
    return block.model_copy(update={"cwd": block.cwd or str(folder)}) if block.command or block.python else block


def shown(block: UpstreamBlock) -> Mapping[str, frozenset[str]]:
    """For each tool that the block itself declares, the arguments that everyone who lists processes sees."""
    return commandline.shown(block.tools)
