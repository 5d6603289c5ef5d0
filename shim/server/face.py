"""What every face has in common: what is in force behind it, what it says of itself, the methods it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import INVALID_PARAMS, LOG_LEVEL_META_KEY
from mcp_types.methods import INPUT_REQUIRED_METHODS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shim.errors import ProtocolError
from shim.generation import Current, Sender
from shim.methods import Method
from shim.model import Answer, JsonObject, Listener
from shim.server.authentication import seconds_left
from shim.server.closing import Closing
from shim.server.holding import Check, Holding, is_resumed
from shim.server.message import Message
from shim.server.notices import LEVELS
from shim.server.request import Request
from shim.server.shapes import modern_result
from shim.views import Listing, View

CAPABILITIES: JsonObject = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True},
    "completions": {},
    "logging": {},
}
"""What this version honours; nothing an upstream can do beyond it is promised."""

LISTS: Final[Mapping[str, tuple[str, Callable[[View], Listing]]]] = {
    "tools/list": ("tools", lambda view: view.tools),
    "prompts/list": ("prompts", lambda view: view.prompts),
    "resources/list": ("resources", lambda view: view.resources),
    "resources/templates/list": ("resourceTemplates", lambda view: view.templates),
}
"""Each method that lists, with the member of its result and which list of a view that is."""

CHANGES: Final[Mapping[str, str]] = {f"{kind}ListChanged": kind for kind in ("tools", "prompts", "resources")}
"""What a `subscriptions/listen` may ask for, and the list that is meant."""


@dataclass(frozen=True, slots=True)
class Face:
    """One server as clients see it; `ttl` is for how many milliseconds a list may be taken for fresh."""

    current: Current
    name: str
    version: str
    closing: Closing
    ttl: int = 5000
    holding: Holding = field(default_factory=Holding)

    @property
    def info(self) -> JsonObject:
        """`serverInfo`."""
        return {"name": self.name, "version": self.version}

    def about(self, sender: Sender) -> JsonObject:
        """What a client is told of the server when it introduces itself: `capabilities`, and `instructions` if any."""
        instructions = sender.generation.instructions(sender.credential.identity)
        told: JsonObject = {"capabilities": CAPABILITIES}
        return told if instructions is None else {**told, "instructions": instructions}

    def discover(self, sender: Sender) -> JsonObject:
        """The result of `server/discover` (MCP 2026-07-28, "Discovery")."""
        result: JsonObject = {
            "resultType": "complete",
            "supportedVersions": list(MODERN_PROTOCOL_VERSIONS),
            "ttlMs": self.ttl,
            "cacheScope": "private",
            **self.about(sender),
        }
        return modern_result(result, self.info)

    async def listing(self, request: Request, method: str) -> Listing:
        """A whole list, which is one page. Raises ProtocolError for a cursor that nobody gave, RecordUnavailable."""
        if request.message.params.get("cursor") is not None:
            raise ProtocolError(INVALID_PARAMS, "Invalid params: unknown cursor")
        return LISTS[method][1](await request.gateway.lists(request.caller))

    async def call(self, request: Request, method: Method, listener: Listener, check: Check | None = None) -> Answer:
        """A call of a modern client: its end, or questions to the client; or a call that answers go on with.

        `check` as in `Gateway.call`. Raises ProtocolError. Cancelling cancels the call.
        """
        gateway, caller, params = request.gateway, request.caller, request.message.params
        if method.name in INPUT_REQUIRED_METHODS and is_resumed(params):
            return await self.holding.resume(caller, method.name, params, listener, check)
        if method.name not in INPUT_REQUIRED_METHODS or not gateway.may_be_asked(caller):
            return await gateway.call(caller, method, params, listener, check)

        async def run(held: Listener, seen: Check) -> Answer:
            return await gateway.call(caller, method, params, held, seen)

        return await self.holding.begin(caller, method.name, params, listener, check, run)

    def modern_list(self, method: str, listing: Listing) -> JsonObject:
        """A list as the modern result of its method."""
        result: JsonObject = {LISTS[method][0]: list(listing.definitions), "ttlMs": self.ttl, "cacheScope": "private"}
        return modern_result(result, self.info)

    async def listen(self, request: Request) -> JsonObject:
        """One `subscriptions/listen` of a modern client, until the process stops or the sender is nobody any more.

        Acknowledges first; then tells of list changes that this caller can see, if it asked for them. Returns the
        result that closes it gracefully (MCP 2026-07-28, "Subscriptions"); cancelling ends it abruptly. Raises
        ProtocolError and RecordUnavailable.
        """
        wanted, prove = request.message.params.get("notifications"), request.sender.prove
        if not isinstance(wanted, dict):
            raise ProtocolError(INVALID_PARAMS, "Invalid params: notifications must be an object")
        honoured = {asked: True for asked in CHANGES if wanted.get(asked) is True}
        lists = {CHANGES[asked] for asked in honoured}
        meta = {SUBSCRIPTION_ID_META_KEY: request.id}
        bell = anyio.Event()

        def ring() -> None:
            bell.set()

        async with request.gateway.listening(request.caller):
            seen = self.current.seen_by(prove)
            ends = (self.closing.watch(ring), self.current.watch(ring))
            try:
                await request.deliver(
                    "notifications/subscriptions/acknowledged", {"_meta": meta, "notifications": honoured}
                )
                while seen is not None and not self.closing.begun:
                    # Nobody rings when a token ends: a stream does not outlive it.
                    with anyio.move_on_after(seconds_left(request.sender.credential)):
                        await bell.wait()
                    bell = anyio.Event()
                    now = self.current.seen_by(prove)
                    for kind in now.changes(seen) if now is not None else ():
                        if kind in lists:
                            await request.deliver(f"notifications/{kind}/list_changed", {"_meta": meta})
                    seen = now
            finally:
                for end in ends:
                    end()
        return modern_result({"resultType": "complete", "_meta": meta}, self.info)


def log_level(message: Message) -> str | None:
    """The mildest level of log messages that a modern request asks for, None where it asks for none.

    Raises ProtocolError for one that does not exist (MCP 2026-07-28, "Logging").
    """
    level = message.meta.get(LOG_LEVEL_META_KEY)
    if level is not None and level not in LEVELS:
        raise ProtocolError(INVALID_PARAMS, "Invalid params: unknown log level")
    return level if isinstance(level, str) else None
