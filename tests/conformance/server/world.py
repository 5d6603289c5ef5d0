"""What the server keeps between requests: lists that change, who is told, and what each legacy session asked for."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.subscriptions import event_to_notification
from mcp_types import LoggingLevel

Context = ServerRequestContext[Any, Any]


def session_of(ctx: Context) -> str:
    """Which legacy session a request belongs to. Over stdio there is one."""
    return "" if ctx.request is None else ctx.request.headers.get("mcp-session-id", "")


@dataclass
class World:
    """Two lists that grow and shrink by one entry, and everybody who wants to hear of it."""

    more_tools: bool = False
    more_prompts: bool = False
    more_resources: bool = False
    edition: int = 1
    """How often the watched resource was written."""
    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    sessions: dict[str, ServerSession] = field(default_factory=dict)
    levels: dict[str, LoggingLevel] = field(default_factory=dict)
    watched: dict[str, set[str]] = field(default_factory=dict)
    """The URIs each legacy session has subscribed to."""

    async def change_tools(self) -> None:
        self.more_tools = not self.more_tools
        await self._tell(ToolsListChanged())

    async def change_prompts(self) -> None:
        self.more_prompts = not self.more_prompts
        await self._tell(PromptsListChanged())

    async def change_resources(self) -> None:
        self.more_resources = not self.more_resources
        await self._tell(ResourcesListChanged())

    async def update(self, uri: str) -> None:
        self.edition += 1
        await self._tell(ResourceUpdated(uri))

    async def _tell(self, event: ServerEvent) -> None:
        """Modern clients hear it on the streams they listen on, legacy ones on the stream of their session."""
        await self.bus.publish(event)
        for key, session in list(self.sessions.items()):
            if isinstance(event, ResourceUpdated) and event.uri not in self.watched.get(key, ()):
                continue
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await session.send_notification(event_to_notification(event, {}))
