"""Requests as an open session's dialect wants them: a caller's own, and those that the shim makes for itself."""

from __future__ import annotations

from mcp_types import LOG_LEVEL_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shim.extensions import EVERY_APP, NAMED, UPDATE, of_client
from shim.model import Call, JsonObject, Listener, Offered, Tool
from shim.upstream.config import UpstreamBlock
from shim.upstream.exchange import LEVELS, Ask
from shim.upstream.handing import Handed
from shim.upstream.session import Dialect

_PROTOCOL_PREFIX = "io.modelcontextprotocol/"
_ROUNDS = ("inputResponses", "requestState")


def callers(
    call: Call,
    target: Offered,
    params: JsonObject,
    listener: Listener,
    block: UpstreamBlock,
    dialect: Dialect,
    handed: Handed,
    capabilities: JsonObject,
) -> Ask:
    """A caller's request for what this target offers: the shim's own protocol members in `_meta`, all else as it came.

    `params` name the target as its upstream does. `inputResponses` and `requestState` are dropped: they are between the
    client and the shim, or between the shim and the upstream; of a task they are the caller's answers. `capabilities`
    is what the upstream may ask the client for.
    """
    theirs = params.get("_meta")
    meta = theirs if isinstance(theirs, dict) else {}
    kept = {key: value for key, value in meta.items() if not _ours(key)}
    apart = () if call.method == UPDATE else _ROUNDS
    sent = {key: value for key, value in params.items() if key != "_meta" and key not in apart}
    level, extensions = _level(call, meta), of_client(call.caller)
    # Who could say so and did not hears whatever comes.
    kept |= dialect.meta(level or LEVELS[0], {**capabilities, "extensions": extensions} if extensions else capabilities)
    if kept:
        sent["_meta"] = kept
    return Ask(
        call.method,
        sent,
        _timeout(target, block),
        block.max_result,
        listener,
        progress="progressToken" in meta,
        level=level,
        name=params[NAMED[call.method]] if call.method in NAMED else None,
        headers=dialect.headers(target, params.get("arguments"), handed),
        invocation=call.id,
        call=call,
    )


def own(method: str, params: JsonObject, dialect: Dialect, timeout: float, limit: int) -> Ask:
    """A request that the shim makes for itself. `params` without `_meta`."""
    meta = dialect.meta(None, {"extensions": EVERY_APP})
    return Ask(method, {**params, "_meta": meta} if meta else params, timeout, limit)


def _timeout(target: Offered, block: UpstreamBlock) -> float:
    """What the operator says of the tool holds before what is said of its upstream, be it less or more."""
    return target.timeout if isinstance(target, Tool) and target.timeout is not None else block.timeout


def _ours(key: str) -> bool:
    return key == "progressToken" or key.startswith(_PROTOCOL_PREFIX)


def _level(call: Call, meta: JsonObject) -> str | None:
    """The least severity of messages the caller wants: a modern one hears nothing unless it says so in the call.

    The face of a legacy client has put there what its session wants.
    """
    level = meta.get(LOG_LEVEL_META_KEY)
    if level in LEVELS:
        return str(level)
    return "off" if call.caller.protocol in MODERN_PROTOCOL_VERSIONS else None
