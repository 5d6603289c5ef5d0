"""What the server keeps between requests: lists that change, who is told, and what each legacy session asked for."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
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

WATCHED = "test://watched-resource"
LOOK = 0.05
"""Seconds between two looks at what other processes changed."""


def session_of(ctx: Context) -> str:
    """Which legacy session a request belongs to. Over stdio there is one."""
    return "" if ctx.request is None else ctx.request.headers.get("mcp-session-id", "")


@dataclass(frozen=True, slots=True)
class State:
    """Three lists that have one entry more or not, and how often the watched resource was written."""

    tools: bool = False
    prompts: bool = False
    resources: bool = False
    edition: int = 1


@dataclass
class World:
    """The state, and everybody who wants to hear of its changes.

    Over stdio each client has a process of its own. With a `file` they share one state, as servers do that look at
    one folder or database, and each tells its client what another has changed.
    """

    file: Path | None = None
    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    sessions: dict[str, ServerSession] = field(default_factory=dict)
    levels: dict[str, LoggingLevel] = field(default_factory=dict)
    watched: dict[str, set[str]] = field(default_factory=dict)
    """The URIs each legacy session has subscribed to."""
    _known: State = field(default_factory=State)

    def __post_init__(self) -> None:
        self._known = self.state

    @property
    def state(self) -> State:
        if self.file is None or not self.file.exists():
            return self._known
        return State(**json.loads(self.file.read_text()))

    async def change_tools(self) -> None:
        state = self.state
        await self._become(replace(state, tools=not state.tools))

    async def change_prompts(self) -> None:
        state = self.state
        await self._become(replace(state, prompts=not state.prompts))

    async def change_resources(self) -> None:
        state = self.state
        await self._become(replace(state, resources=not state.resources))

    async def write(self) -> None:
        """A new edition of the watched resource."""
        state = self.state
        await self._become(replace(state, edition=state.edition + 1))

    async def follow(self) -> None:
        """Tell what other processes change, until it is cancelled."""
        while True:
            await anyio.sleep(LOOK)
            await self._look(self.state)

    async def _become(self, state: State) -> None:
        if self.file is not None:
            new = self.file.with_suffix(".new")
            new.write_text(json.dumps(asdict(state)))
            new.replace(self.file)
        await self._look(state)

    async def _look(self, state: State) -> None:
        known, self._known = self._known, state
        if known.tools != state.tools:
            await self._tell(ToolsListChanged())
        if known.prompts != state.prompts:
            await self._tell(PromptsListChanged())
        if known.resources != state.resources:
            await self._tell(ResourcesListChanged())
        if known.edition != state.edition:
            await self._tell(ResourceUpdated(WATCHED))

    async def _tell(self, event: ServerEvent) -> None:
        """Modern clients hear it on the streams they listen on, legacy ones on the stream of their session."""
        await self.bus.publish(event)
        for key, session in list(self.sessions.items()):
            if isinstance(event, ResourceUpdated) and event.uri not in self.watched.get(key, ()):
                continue
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await session.send_notification(event_to_notification(event, {}))
