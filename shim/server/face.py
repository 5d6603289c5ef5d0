"""What every face has in common: what is in force behind it, what it says of itself, the methods it answers."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import INVALID_PARAMS, LOG_LEVEL_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shim.errors import ProtocolError
from shim.generation import Current, Sender
from shim.model import JsonObject
from shim.server.closing import Closing
from shim.server.message import Message
from shim.server.notices import LEVELS
from shim.server.request import Request
from shim.server.shapes import modern_result
from shim.views import View

CAPABILITIES: JsonObject = {"tools": {"listChanged": True}, "logging": {}}
"""What this version honours; nothing an upstream can do beyond it is promised."""


@dataclass(frozen=True, slots=True)
class Face:
    """One server as clients see it; `ttl` is for how many milliseconds a list may be taken for fresh."""

    current: Current
    name: str
    version: str
    closing: Closing
    ttl: int = 5000

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

    async def tools(self, request: Request) -> View:
        """The whole list, which is one page. Raises ProtocolError for a cursor that nobody gave, RecordUnavailable."""
        if request.message.params.get("cursor") is not None:
            raise ProtocolError(INVALID_PARAMS, "Invalid params: unknown cursor")
        return await request.gateway.list_tools(request.caller)

    def tools_result(self, view: View) -> JsonObject:
        """A view as a modern `tools/list` result."""
        result: JsonObject = {"tools": list(view.definitions), "ttlMs": self.ttl, "cacheScope": "private"}
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
        changes = wanted.get("toolsListChanged") is True
        meta = {SUBSCRIPTION_ID_META_KEY: request.id}
        bell = anyio.Event()

        def ring() -> None:
            bell.set()

        async with request.gateway.listening(request.caller):
            seen = self.current.seen_by(prove)
            ends = (self.closing.watch(ring), self.current.watch(ring))
            try:
                honoured = {"toolsListChanged": True} if changes else {}
                await request.deliver(
                    "notifications/subscriptions/acknowledged", {"_meta": meta, "notifications": honoured}
                )
                while seen is not None and not self.closing.begun:
                    await bell.wait()
                    bell = anyio.Event()
                    digest = self.current.seen_by(prove)
                    if digest not in (None, seen) and changes:
                        await request.deliver("notifications/tools/list_changed", {"_meta": meta})
                    seen = digest
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
