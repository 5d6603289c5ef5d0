"""All upstreams of a configuration, kept alive; the interface that the gateway relies on."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from shim.model import Call, JsonObject, Listener, Offer, Reply, Tool, UpstreamStatus
from shim.upstream.config import UpstreamBlock
from shim.upstream.failures import unavailable
from shim.upstream.kinds import kind_of
from shim.upstream.link import FIRST, Link, Surroundings
from shim.upstream.session import Me
from shim.upstream.watchdog import Watchdog

_log = logging.getLogger("shim.upstream")

_EVENTS = 1000
_AGAIN = 5.0


class Upstreams:
    """Connects to every upstream at once and keeps each alive on its own. An async context manager.

    `on_offer` gets every reading of a catalog, `on_event` what an upstream asked of the client (kind, body,
    invocation or None); both are awaited by background tasks, never by a call. `environment` is where stdio
    upstreams get PATH, HOME and LANG from; `folder` is what their `cwd` and TLS files are relative to. `name` and
    `version` are how the shim names itself to upstreams; `jitter` gives 0..1.

    To be entered and left by the same task. Leaving ends all sessions and child processes, within 10 s.
    """

    def __init__(
        self,
        blocks: Mapping[str, UpstreamBlock],
        *,
        on_offer: Callable[[Offer], Awaitable[None]],
        on_event: Callable[[str, JsonObject, str | None], Awaitable[None]],
        environment: Mapping[str, str],
        folder: Path,
        name: str = "mcp-shim",
        version: str = "0",
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._blocks = dict(blocks)
        self._on_offer = on_offer
        self._on_event = on_event
        self._environment = environment
        self._folder = folder
        self._me = Me(name, version)
        self._jitter = jitter
        self._watchdog = Watchdog()
        self._links: dict[str, Link] = {}
        self._group: TaskGroup | None = None
        self._events: asyncio.Queue[tuple[str, JsonObject, str | None]] = asyncio.Queue(_EVENTS)

    async def __aenter__(self) -> Upstreams:
        self._group = await anyio.create_task_group().__aenter__()
        around = Surroundings(self._me, self._spawn, self._jitter, self._on_offer, self._event)
        for name, block in self._blocks.items():
            kind = kind_of(
                name,
                block,
                folder=self._folder,
                environment=self._environment,
                watchdog=self._watchdog,
                spawn=self._spawn,
            )
            self._links[name] = Link(name, block, kind, around)
        self._spawn(self._tell_events)
        for link in self._links.values():
            self._spawn(_keep, link)
            self._spawn(link.tend)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        group, self._group = self._group, None
        if group is None:
            return
        group.cancel_scope.cancel()
        try:
            await group.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                for link in self._links.values():
                    await link.close()
                await self._watchdog.stop()

    async def settled(self) -> None:
        """Return when every upstream's first connection attempt is over, after 10 s at most."""
        waiting = [link for link in self._links.values() if not link.first.is_set()]
        if not waiting:
            return
        with anyio.move_on_after(FIRST):
            for link in waiting:
                await link.first.wait()

    async def call(self, call: Call, tool: Tool, params: JsonObject, listener: Listener) -> Reply:
        """Send one `tools/call` for a recorded intent and await the answer.

        `params` are the caller's as they came (its wire name is replaced by the tool's own). Raises the Refusals of
        `shim.errors`; a call that may have reached the upstream is never sent again. Cancelling cancels upstream.
        """
        link = self._links.get(tool.upstream)
        if link is None or self._group is None:
            raise unavailable(tool.upstream, "it is not configured, or the shim is stopping")
        return await link.call(call, tool, params, listener)

    def status(self) -> Mapping[str, UpstreamStatus]:
        """How every upstream stands now, in the order of the configuration."""
        return {name: link.status() for name, link in self._links.items()}

    def _spawn(self, function: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Run a background task of some upstream, in a context that carries nothing of the caller's."""
        if self._group is not None:
            contextvars.Context().run(self._group.start_soon, _guarded, function, arguments)

    def _event(self, kind: str, body: JsonObject, invocation: str | None) -> None:
        try:
            self._events.put_nowait((kind, body, invocation))
        except asyncio.QueueFull:
            _log.error("too many events wait to be recorded; lost %s of %s", kind, body.get("upstream"))

    async def _tell_events(self) -> None:
        while True:
            kind, body, invocation = await self._events.get()
            await _guarded(self._on_event, (kind, body, invocation))


async def _keep(link: Link) -> None:
    while True:
        await _guarded(link.run, ())
        link.broke()
        await asyncio.sleep(_AGAIN)


async def _guarded(function: Callable[..., Awaitable[None]], arguments: tuple[object, ...]) -> None:
    """The boundary of background tasks: what nobody foresaw is logged, and stops nothing else."""
    try:
        await function(*arguments)
    except Exception:  # noqa: BLE001 (the one boundary of background tasks)
        _log.exception("a background task of an upstream failed: %s", getattr(function, "__qualname__", function))
