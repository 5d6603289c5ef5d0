"""`subscriptions/listen` of modern clients (MCP 2026-07-28, "Subscriptions"), the same over HTTP and stdio.

What is told is what changed for this caller since it was told last. A client that reads slowly therefore has never more
than one notice of a kind coming to it, however much changes meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import INVALID_PARAMS

from shim.errors import ProtocolError
from shim.generation import Current
from shim.model import Json, JsonObject
from shim.server.authentication import seconds_left
from shim.server.bell import Bell
from shim.server.closing import Closing
from shim.server.request import Request

LOOK_SECONDS = 15.0
"""How often a stream looks whether its owner is still somebody, when nothing else happens."""


CHANGES: Final[Mapping[str, str]] = {f"{kind}ListChanged": kind for kind in ("tools", "prompts", "resources")}
"""What a filter may ask for, and the list that is meant."""


def lists_of(filter_: Json) -> dict[str, str]:
    """The lists whose changes a filter asks for, by the members that ask. Raises ProtocolError for a bad filter."""
    if not isinstance(filter_, dict):
        raise ProtocolError(INVALID_PARAMS, "Invalid params: notifications must be an object")
    return {asked: kind for asked, kind in CHANGES.items() if filter_.get(asked) is True}


async def listen(request: Request, current: Current, closing: Closing, *, look: float = LOOK_SECONDS) -> JsonObject:
    """One `subscriptions/listen`, until the process stops or the sender is nobody any more.

    Acknowledges first, with what of the filter is honoured; then tells of what this caller can see to have changed.
    Returns the result that closes it gracefully; cancelling ends it abruptly. Raises ProtocolError, RecordUnavailable.
    """
    lists = lists_of(request.message.params.get("notifications"))
    prove, meta = request.sender.prove, {SUBSCRIPTION_ID_META_KEY: request.id}
    bell = Bell()
    async with request.gateway.listening(request.caller):
        seen = current.seen_by(prove)
        ends = (closing.watch(bell.ring), current.watch(bell.ring))
        try:
            acknowledged: JsonObject = {"_meta": meta, "notifications": dict.fromkeys(lists, True)}
            await request.deliver("notifications/subscriptions/acknowledged", acknowledged)
            while seen is not None and not closing.begun:
                # Nobody rings when a token ends: a stream does not outlive it.
                await bell.wait(min(look, seconds_left(request.sender.credential)))
                now = current.seen_by(prove)
                for kind in now.changes(seen) if now is not None else ():
                    if kind in lists.values():
                        await request.deliver(f"notifications/{kind}/list_changed", {"_meta": meta})
                seen = now
        finally:
            for end in ends:
                end()
    return {"resultType": "complete", "_meta": meta}
