"""What belongs to revision 2026-07-28 alone: version, client and capabilities travel with each request.

Source: specification 2026-07-28, basic/index ("_meta"), basic/transports/streamable-http ("Request Metadata").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from mcp.shared.inbound import find_invalid_x_mcp_header, mcp_param_headers, x_mcp_header_map
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)

from shim.errors import Refusal
from shim.model import JsonObject, Offered, Reply, Tool
from shim.upstream import asking
from shim.upstream.backoff import Backoff
from shim.upstream.exchange import LEVELS, Ask
from shim.upstream.handing import Handed
from shim.upstream.inbox import ACKNOWLEDGED
from shim.upstream.session import Me, Peer, Session

_HEADER_MAPS = 4096
_LISTENING = 86_400.0


async def discover(session: Session, me: Me, version: str, timeout: float, limit: int) -> Reply:
    """Send `server/discover`."""
    return await session.request(Ask("server/discover", {"_meta": _meta(me, version, {})}, timeout, limit))


def peer(result: JsonObject, version: str) -> Peer:
    """What a `server/discover` result says."""
    about = result.get("_meta")
    server = about.get(SERVER_INFO_META_KEY) if isinstance(about, dict) else None
    return Peer.said("modern", version, server, result)


def _meta(me: Me, version: str, capabilities: JsonObject) -> JsonObject:
    return {
        PROTOCOL_VERSION_META_KEY: version,
        CLIENT_INFO_META_KEY: me.info,
        CLIENT_CAPABILITIES_META_KEY: capabilities,
    }


class Modern:
    """See `Dialect`. `mirrored` is one for all sessions of an upstream over HTTP; None over stdio, without headers."""

    def __init__(self, session: Session, peer: Peer, me: Me, mirrored: ParamHeaders | None) -> None:
        self._session = session
        self._peer = peer
        self._me = me
        self._mirrored = mirrored

    @property
    def mirrors(self) -> bool:
        return self._mirrored is not None

    def meta(self, level: str | None = None, capabilities: JsonObject | None = None, /) -> JsonObject:
        meta = _meta(self._me, self._peer.protocol, capabilities or {})
        if level in LEVELS:
            meta[LOG_LEVEL_META_KEY] = level
        return meta

    def headers(self, target: Offered, arguments: object, handed: Handed, /) -> Mapping[str, str]:
        if self._mirrored is None:
            return {}
        # Each request carries its own credentials: nothing is kept between two of them.
        mirrored = self._mirrored.of(target, arguments) if isinstance(target, Tool) else {}
        return {**mirrored, **handed.headers}

    async def prepare(self, _ask: Ask, /) -> None:
        """Each request says all there is to know."""

    async def follow(self, limit: int, pauses: Backoff, changed: Callable[[], None], /) -> bool:
        """Listen for changes; over a new stream whenever the old one ends. Returns when the upstream has none."""
        wanted: JsonObject = {"notifications": {f"{kind}ListChanged": True for kind in self._peer.tells}}

        def heard(method: str, _params: JsonObject) -> None:
            if method == ACKNOWLEDGED:
                # What changed between the last reading and now was told to nobody.
                changed()

        ask = replace(asking.own("subscriptions/listen", wanted, self, _LISTENING, limit), heard=heard)
        time = asyncio.get_running_loop().time
        while True:
            began = time()
            try:
                reply = await self._session.request(ask)
            except Refusal:
                reply = None
            if reply is not None and reply.error is not None:
                return False
            await asyncio.sleep(pauses.after(time() - began))
            # That the upstream is gone shows in another reading.
            changed()


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
