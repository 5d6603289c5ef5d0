"""All upstreams of a configuration, kept alive; the interface that the gateway relies on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType

from shim.model import Call, JsonObject, Listener, Offer, Reply, Tool, UpstreamStatus
from shim.upstream.config import UpstreamBlock


class Upstreams:
    """Connects to every upstream at once and keeps each alive on its own. An async context manager."""

    def __init__(
        self,
        blocks: Mapping[str, UpstreamBlock],
        *,
        on_offer: Callable[[Offer], Awaitable[None]],
        on_event: Callable[[str, JsonObject, str | None], Awaitable[None]],
    ) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Upstreams:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def settled(self) -> None:
        """Return when every upstream's first connection attempt is over, after 10 s at most."""
        raise NotImplementedError

    async def call(self, call: Call, tool: Tool, params: JsonObject, listener: Listener) -> Reply:
        """Send one `tools/call` for a recorded intent and await the answer.

        `params` are the caller's as they came (its wire name is replaced by the tool's own). Raises the Refusals of
        `shim.errors`; a call that may have reached the upstream is never sent again. Cancelling cancels upstream.
        """
        raise NotImplementedError

    def status(self) -> Mapping[str, UpstreamStatus]:
        """How every upstream stands now, in the order of the configuration."""
        raise NotImplementedError
