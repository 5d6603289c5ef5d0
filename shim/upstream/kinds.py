"""The kinds of upstream that there are, chosen by the keys of their configuration block."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shim.upstream.commandline.kind import CommandLine
from shim.upstream.config import UpstreamBlock
from shim.upstream.making import Making
from shim.upstream.openapi.api import OpenApi
from shim.upstream.python.kind import Python
from shim.upstream.servers import Http, Stdio
from shim.upstream.session import Kind

_KINDS: Mapping[str, Callable[[str, UpstreamBlock, Making], Kind]] = {
    "command": Stdio,
    "url": Http,
    "program": CommandLine,
    "openapi": OpenApi,
    "python": Python,
}
"""By the key of the configuration that chooses it. A new kind is a file, a line here, and its keys in `config.py`."""


def kind_of(name: str, block: UpstreamBlock, making: Making) -> Kind:
    """The kind that a block asks for."""
    return _KINDS[block.kind](name, block, making)
