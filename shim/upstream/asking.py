"""A caller's `tools/call` as the upstream's era wants it. What the shim does not know passes."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_types import LOG_LEVEL_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shim.model import Call, JsonObject, Listener, Tool
from shim.upstream import modern
from shim.upstream.config import UpstreamBlock
from shim.upstream.exchange import LEVELS, Ask
from shim.upstream.session import Me, Peer

_PROTOCOL_PREFIX = "io.modelcontextprotocol/"
_ROUNDS = ("inputResponses", "requestState")


def ask_for(
    call: Call,
    tool: Tool,
    params: JsonObject,
    listener: Listener,
    peer: Peer,
    me: Me,
    block: UpstreamBlock,
    headers: Mapping[str, str],
) -> Ask:
    """The request: the tool's own name, the shim's own protocol members in `_meta`, all else as it came.

    `inputResponses` and `requestState` are dropped: they answer questions that nobody was asked. `headers` go to an
    HTTP upstream with it.
    """
    theirs = params.get("_meta")
    meta = theirs if isinstance(theirs, dict) else {}
    kept = {key: value for key, value in meta.items() if not _ours(key)}
    sent = {key: value for key, value in params.items() if key != "_meta" and key not in _ROUNDS}
    sent["name"] = tool.name
    level = _level(call, meta)
    if peer.era == "modern":
        kept |= modern.meta(me, peer.protocol)
        if level in LEVELS:
            kept[LOG_LEVEL_META_KEY] = level
    if kept:
        sent["_meta"] = kept
    return Ask(
        "tools/call",
        sent,
        block.timeout,
        block.max_result,
        listener,
        progress="progressToken" in meta,
        level=level,
        name=tool.name,
        headers=headers,
        invocation=call.id,
    )


def _ours(key: str) -> bool:
    return key == "progressToken" or key.startswith(_PROTOCOL_PREFIX)


def _level(call: Call, meta: JsonObject) -> str | None:
    """The least severity of messages the caller wants: a modern one hears nothing unless it says so in the call."""
    level = meta.get(LOG_LEVEL_META_KEY)
    if level in LEVELS:
        return str(level)
    return "off" if call.caller.protocol in MODERN_PROTOCOL_VERSIONS else None
