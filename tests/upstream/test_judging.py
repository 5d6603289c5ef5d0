"""What upstreams would say to arguments, where nothing starts."""

from __future__ import annotations

from shim.model import JsonObject, Tool
from shim.upstream.config import UpstreamBlock
from shim.upstream.judging import Judging

SCHEMA: JsonObject = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}


class Own(UpstreamBlock):
    """An upstream that is no MCP server."""

    @property
    def kind(self) -> str:
        return "own"


def tool(upstream: str) -> Tool:
    return Tool(upstream, "t", f"{upstream}__t", {"name": "t", "inputSchema": SCHEMA}, "digest")


def test_the_shim_judges_for_what_is_no_server_of_its_own() -> None:
    judging = Judging({"mine": Own(command=("x",)), "server": UpstreamBlock(command=("x",))})
    assert judging.misfit(tool("mine"), {"n": 1}) is None
    assert "`n`" in (judging.misfit(tool("mine"), {"n": "canary"}) or "")
    assert "canary" not in (judging.misfit(tool("mine"), {"n": "canary"}) or "")
    assert judging.misfit(tool("mine"), {"m": 1}) is not None
    assert judging.misfit(tool("server"), {"n": "x", "m": 1}) is None
