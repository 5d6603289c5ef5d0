"""What upstreams would say to arguments, for whoever only asks: nothing starts, and nothing is reached."""

from __future__ import annotations

from collections.abc import Mapping

from shim.model import JsonObject, Tool
from shim.upstream.arguments import Judge
from shim.upstream.config import SERVERS, UpstreamBlock


class Judging:
    """By the tools' input schemas alone: what a kind of upstream knows besides, such as where a value may stand in an
    address, shows in calls."""

    def __init__(self, blocks: Mapping[str, UpstreamBlock]) -> None:
        self.names = frozenset(name for name, block in blocks.items() if block.kind not in SERVERS)
        self._judge = Judge()

    def misfit(self, tool: Tool, arguments: JsonObject) -> str | None:
        """Why a tool cannot be called with these arguments, where that is for the shim to say. `tool` as its caller
        sees it."""
        return self._judge.misfit(tool, arguments) if tool.upstream in self.names else None
