"""`subscriptions/listen` of modern clients (MCP 2026-07-28, "Subscriptions"), the same over HTTP and stdio.

What is told is what changed for this caller since it was told last. A client that reads slowly therefore has never more
than one notice of a kind coming to it, however much changes meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import anyio
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import INVALID_PARAMS

from shim.errors import ProtocolError
from shim.extensions import TASKS, missing, of_client
from shim.generation import Current
from shim.methods import SUBSCRIBE
from shim.model import Json, JsonObject
from shim.server.authentication import seconds_left
from shim.server.bell import Bell
from shim.server.closing import Closing
from shim.server.outbox import KEPT
from shim.server.request import Request
from shim.server.watched import MOST, Watched

LOOK_SECONDS = 15.0
"""How often a stream looks whether its owner is still somebody, when nothing else happens."""


CHANGES: Final[Mapping[str, str]] = {f"{kind}ListChanged": kind for kind in ("tools", "prompts", "resources")}
"""What a filter may ask for, and the list that is meant."""


def lists_of(filter_: Json) -> dict[str, str]:
    """The lists whose changes a filter asks for, by the members that ask. Raises ProtocolError for a bad filter."""
    if not isinstance(filter_, dict):
        raise ProtocolError(INVALID_PARAMS, "Invalid params: notifications must be an object")
    return {asked: kind for asked, kind in CHANGES.items() if filter_.get(asked) is True}


def resources_of(filter_: Json) -> list[str]:
    """The URIs of which a filter wants to hear, each once. Raises ProtocolError for what is no list of text."""
    uris = filter_.get("resourceSubscriptions")
    if uris is None:
        return []
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise ProtocolError(INVALID_PARAMS, "Invalid params: resourceSubscriptions must be a list of URIs")
    if len(uris) > MOST:
        raise ProtocolError(INVALID_PARAMS, f"Invalid params: more than {MOST} resourceSubscriptions")
    return list(dict.fromkeys(uris))


async def listen(request: Request, current: Current, closing: Closing, *, look: float = LOOK_SECONDS) -> JsonObject:
    """One `subscriptions/listen`, until the process stops or the sender is nobody any more.

    Acknowledges first, with what of the filter is honoured; then tells of what this caller can see to have changed.
    Each resource is subscribed to as a legacy client would; those that cannot be had, for whatever reason, are left out
    of what is acknowledged; so are tasks, whose state is had by asking. Returns the result that closes it gracefully;
    cancelling ends it abruptly. Raises ProtocolError, RecordUnavailable.
    """
    filter_ = request.message.params.get("notifications")
    lists, uris = lists_of(filter_), resources_of(filter_)
    if isinstance(filter_, dict) and "taskIds" in filter_ and TASKS not in of_client(request.caller):
        raise missing(TASKS)
    prove, meta = request.sender.prove, {SUBSCRIPTION_ID_META_KEY: request.id}
    bell, changed = Bell(), dict[str, str]()

    def updated(uri: str, ref: str) -> None:
        if uri in changed or len(changed) < KEPT:
            changed[uri] = ref
        bell.ring()

    watched = Watched(updated)
    async with request.gateway.listening(request.caller):
        seen = current.seen_by(prove)
        ends = (closing.watch(bell.ring), current.watch(bell.ring), watched.close)
        try:
            honoured: JsonObject = dict.fromkeys(lists, True)
            if uris:
                honoured["resourceSubscriptions"] = await _subscribed(request, watched, uris)
            acknowledged: JsonObject = {"_meta": meta, "notifications": honoured}
            await request.deliver("notifications/subscriptions/acknowledged", acknowledged)
            while seen is not None and not closing.begun:
                # Nobody rings when a token ends: a stream does not outlive it.
                await bell.wait(min(look, seconds_left(request.sender.credential)) if not changed else 0)
                now = current.seen_by(prove)
                for kind in now.changes(seen) if now is not None else ():
                    if kind in lists.values():
                        await request.deliver(f"notifications/{kind}/list_changed", {"_meta": meta})
                # What comes meanwhile waits: whoever is told without end is looked at all the same.
                for uri in tuple(changed) if now is not None else ():
                    ref = changed.pop(uri)
                    if current.may_hear(request.caller, ref, uri):
                        await request.deliver("notifications/resources/updated", {"_meta": meta, "uri": uri})
                seen = now
        finally:
            for end in ends:
                end()
    return {"resultType": "complete", "_meta": meta}


async def _subscribed(request: Request, watched: Watched, uris: list[str]) -> list[str]:
    """Those of the resources that are subscribed to now."""
    honoured: set[str] = set()

    async def subscribe(uri: str) -> None:
        try:
            answer = await watched.subscribe(request, uri)
        except ProtocolError as error:
            await request.gateway.refuse(request.caller, SUBSCRIBE.name, error)
            return
        if answer.result is not None:
            honoured.add(uri)

    async with anyio.create_task_group() as group:
        for uri in uris:
            group.start_soon(subscribe, uri)
    return [uri for uri in uris if uri in honoured]
