"""Requests as revision 2026-07-28 wants them: version, client and capabilities travel with each of them.

Source: specification 2026-07-28, basic/index ("_meta"), basic/transports/streamable-http ("Request Metadata").
"""

from __future__ import annotations

from collections.abc import Mapping

from mcp.shared.inbound import find_invalid_x_mcp_header, mcp_param_headers, x_mcp_header_map
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)

from shim.model import JsonObject, Tool
from shim.upstream.session import Me, Peer

_HEADER_MAPS = 4096


def meta(me: Me, version: str) -> JsonObject:
    """The protocol's own members of `_meta`. No capabilities: an upstream may ask the client for nothing."""
    return {
        PROTOCOL_VERSION_META_KEY: version,
        CLIENT_INFO_META_KEY: me.info,
        CLIENT_CAPABILITIES_META_KEY: {},
    }


def envelope(params: JsonObject, me: Me, version: str) -> JsonObject:
    """`params` with the shim's envelope added to their `_meta`."""
    return {**params, "_meta": {**params.get("_meta", {}), **meta(me, version)}}


def peer(result: JsonObject, version: str) -> Peer:
    """What a `server/discover` result says."""
    about = result.get("_meta")
    server = about.get(SERVER_INFO_META_KEY) if isinstance(about, dict) else None
    capabilities, instructions = result.get("capabilities"), result.get("instructions")
    return Peer(
        "modern",
        version,
        server if isinstance(server, dict) else {},
        capabilities if isinstance(capabilities, dict) else {},
        instructions if isinstance(instructions, str) else None,
    )


class ParamHeaders:
    """The `Mcp-Param-*` headers of calls; what a schema mirrors is worked out once for each definition."""

    def __init__(self) -> None:
        self._maps: dict[str, dict[tuple[str, ...], str]] = {}

    def of(self, tool: Tool, arguments: object) -> Mapping[str, str]:
        mirrored = self._maps.get(tool.digest)
        if mirrored is None:
            if len(self._maps) >= _HEADER_MAPS:
                self._maps.clear()
            schema = tool.definition.get("inputSchema")
            mirrored = {} if find_invalid_x_mcp_header(schema) is not None else x_mcp_header_map(schema)
            self._maps[tool.digest] = mirrored
        if not mirrored or not isinstance(arguments, dict):
            return {}
        try:
            return mcp_param_headers(mirrored, arguments)
        except UnicodeEncodeError:
            # A lone surrogate has no bytes to be put into a header; the upstream says itself what it misses.
            return {}
