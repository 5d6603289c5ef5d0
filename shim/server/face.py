"""What every face has in common: the gateway behind it, what it says of itself, and the methods it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import INVALID_PARAMS, LOG_LEVEL_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shim.errors import ProtocolError
from shim.gateway import Gateway
from shim.model import Caller, Identity, JsonObject
from shim.server.closing import Closing
from shim.server.message import Message, RequestId
from shim.server.notices import LEVELS, Deliver
from shim.server.shapes import modern_result
from shim.views import View

CAPABILITIES: JsonObject = {"tools": {"listChanged": True}, "logging": {}}
"""What this version honours; nothing an upstream can do beyond it is promised."""


@dataclass(frozen=True, slots=True)
class About:
    """What a client is told about the server when it introduces itself."""

    instructions: str | None = None
    capabilities: JsonObject = field(default_factory=lambda: dict(CAPABILITIES))


AboutFor: TypeAlias = Callable[[Identity], About]


@dataclass(frozen=True, slots=True)
class Face:
    """One server as clients see it; `ttl` is for how many milliseconds a list may be taken for fresh."""

    gateway: Gateway
    about: AboutFor
    name: str
    version: str
    closing: Closing
    ttl: int = 5000

    @property
    def info(self) -> JsonObject:
        """`serverInfo`."""
        return {"name": self.name, "version": self.version}

    def discover(self, identity: Identity) -> JsonObject:
        """The result of `server/discover` (MCP 2026-07-28, "Discovery")."""
        about = self.about(identity)
        result: JsonObject = {
            "resultType": "complete",
            "supportedVersions": list(MODERN_PROTOCOL_VERSIONS),
            "capabilities": about.capabilities,
            "ttlMs": self.ttl,
            "cacheScope": "private",
        }
        if about.instructions is not None:
            result["instructions"] = about.instructions
        return modern_result(result, self.info)

    async def tools(self, caller: Caller, message: Message) -> View:
        """The whole list, which is one page. Raises ProtocolError for a cursor that nobody gave, RecordUnavailable."""
        if message.params.get("cursor") is not None:
            raise ProtocolError(INVALID_PARAMS, "Invalid params: unknown cursor")
        return await self.gateway.list_tools(caller)

    def tools_result(self, view: View) -> JsonObject:
        """A view as a modern `tools/list` result."""
        result: JsonObject = {"tools": list(view.definitions), "ttlMs": self.ttl, "cacheScope": "private"}
        return modern_result(result, self.info)

    async def listen(self, caller: Caller, id_: RequestId, message: Message, notify: Deliver) -> JsonObject:
        """One `subscriptions/listen` of a modern client, until the process stops; cancelling ends it abruptly.

        Acknowledges first; then tells of list changes that this caller can see, if it asked for them. Returns the
        result that closes it gracefully (MCP 2026-07-28, "Subscriptions"). Raises ProtocolError and RecordUnavailable.
        """
        wanted = message.params.get("notifications")
        if not isinstance(wanted, dict):
            raise ProtocolError(INVALID_PARAMS, "Invalid params: notifications must be an object")
        changes = wanted.get("toolsListChanged") is True
        meta = {SUBSCRIPTION_ID_META_KEY: id_}
        bell = anyio.Event()

        def ring() -> None:
            bell.set()

        async with self.gateway.listening(caller):
            seen = self.gateway.view(caller.identity).digest
            ends = (self.closing.watch(ring), self.gateway.watch(ring))
            try:
                honoured = {"toolsListChanged": True} if changes else {}
                await notify("notifications/subscriptions/acknowledged", {"_meta": meta, "notifications": honoured})
                while not self.closing.begun:
                    await bell.wait()
                    bell = anyio.Event()
                    digest = self.gateway.view(caller.identity).digest
                    if digest != seen and changes:
                        await notify("notifications/tools/list_changed", {"_meta": meta})
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
