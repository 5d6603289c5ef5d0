"""Whether a value can stand where it would be put, for whoever only asks: nothing starts, and nothing is reached.

By what the configuration and files say of an upstream. What is known only of a service that was asked for its document,
or of functions that were loaded, shows in calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from shim.model import Json
from shim.upstream.commandline import config as commandline
from shim.upstream.config import UpstreamBlock
from shim.upstream.openapi.document import Unreadable, bytes_of, read
from shim.upstream.openapi.offering import offering

Places: TypeAlias = Callable[[str, str, Json], str | None]
"""Of a tool, an argument and a value that fits its schema: why it cannot be used, without it."""


class Placing:
    """Looks into an upstream once, when something is first asked of it."""

    def __init__(self, blocks: Mapping[str, UpstreamBlock]) -> None:
        self._blocks = blocks
        self._known: dict[str, Places] = {}

    def misfit(self, upstream: str, tool: str, argument: str, value: Json) -> str | None:
        """Why a call with this value would be refused, whatever else is in it. None where it would not, or where that
        cannot be told."""
        if (block := self._blocks.get(upstream)) is None:
            return None
        if upstream not in self._known:
            self._known[upstream] = _PLACES.get(block.kind, _anywhere)(block)
        return self._known[upstream](tool, argument, value)


def _anywhere(_block: UpstreamBlock) -> Places:
    return lambda _tool, _argument, _value: None


def _words(block: UpstreamBlock) -> Places:
    made = {name: tool.declaration for name, tool in block.tools.items()}
    before = commandline.literals(block)
    return lambda tool, name, value: made[tool].unplaced(before, name, value) if tool in made else None


def _requests(block: UpstreamBlock) -> Places:
    if block.is_fetched or block.openapi is None:
        return _anywhere(block)
    try:
        made = offering(read(bytes_of(Path(block.openapi))), block)
    except (OSError, Unreadable):
        return _anywhere(block)
    return made.unplaced


_PLACES: Mapping[str, Callable[[UpstreamBlock], Places]] = {"program": _words, "openapi": _requests}
"""By the key of the configuration that chooses the kind."""
