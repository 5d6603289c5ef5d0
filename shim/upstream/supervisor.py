"""All upstreams of a configuration, kept alive; the interface that the gateway relies on."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from copy import copy
from pathlib import Path
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from shim.lending import Leased, Leases, Need, Secrets
from shim.model import Call, Caller, JsonObject, Listener, Offer, Offered, Reply, Tool, UpstreamStatus
from shim.upstream.condition import FIRST
from shim.upstream.config import UpstreamBlock
from shim.upstream.failures import unavailable
from shim.upstream.folders import Folders
from shim.upstream.guarding import Guards
from shim.upstream.kinds import kind_of
from shim.upstream.link import Link
from shim.upstream.making import Making
from shim.upstream.session import Me
from shim.upstream.surroundings import Surroundings
from shim.upstream.wants import Wants

_log = logging.getLogger("shim.upstream")

_EVENTS = 1000
_AGAIN = 5.0


class Upstreams:
    """Connects to every upstream at once and keeps each alive on its own. An async context manager.

    `secrets` issues what reading catalogs needs. `on_offer` gets every reading of a catalog, `on_event` what an
    upstream asked of the client (kind, body, invocation or None). Both are awaited by background tasks, and by a call
    only before a question is passed on. `environment` is where stdio upstreams get PATH, HOME and LANG from; `folder`
    is what their `cwd` and TLS files are relative to. `known` takes out of a text what looks like a credential, before
    anybody reads what a process said. `name` and `version` are how the shim names itself to upstreams; `jitter` gives
    0..1.

    To be entered and left by the same task. Leaving ends all sessions and child processes, within 10 s, also those of
    the upstreams that took the place of these by `replace`.
    """

    def __init__(
        self,
        blocks: Mapping[str, UpstreamBlock],
        *,
        secrets: Secrets,
        on_offer: Callable[[Offer], Awaitable[None]],
        on_event: Callable[[str, JsonObject, str | None], Awaitable[None]],
        environment: Mapping[str, str],
        folder: Path,
        known: Callable[[str], str],
        name: str = "mcp-shim",
        version: str = "0",
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._blocks = dict(blocks)
        self._keeper = _Keeper(secrets, on_offer, on_event, environment, folder, known, Me(name, version), jitter)
        self._links: dict[str, Link] = {}

    async def __aenter__(self) -> Upstreams:
        await self._keeper.enter()
        self._links = {name: self._keeper.start(name, block) for name, block in self._blocks.items()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._keeper.leave()

    def replace(self, blocks: Mapping[str, UpstreamBlock], secrets: Secrets) -> Upstreams:
        """The upstreams of another configuration, in place of these; not to be entered.

        What is configured as before goes on with its processes and sessions; with other `secrets`, it is looked whether
        those for reading its catalog are still the same. What is configured no more, or otherwise, is reached through
        these upstreams by requests that have them already, and ends with the last call of those. Happens at once,
        without waiting for anything.
        """
        new = copy(self)
        new._blocks, new._links = dict(blocks), {}
        anew = self._keeper.hand(secrets)
        for name, block in blocks.items():
            if name in self._blocks and _runs_alike(self._blocks[name], block):
                new._links[name] = self._links[name]
                if anew:
                    self._links[name].secrets_changed()
                if block.openapi is not None:
                    # Its document may be a file, which was read with the configuration and may be another now.
                    self._links[name].lists_changed()
            else:
                new._links[name] = self._keeper.start(name, block)
        for name, link in self._links.items():
            if new._links.get(name) is not link:
                self._keeper.retire(link)
        return new

    async def settled(self) -> None:
        """Return when every upstream's first connection attempt is over, after 10 s at most."""
        waiting = [link for link in self._links.values() if not link.first.is_set()]
        if not waiting:
            return
        with anyio.move_on_after(FIRST):
            for link in waiting:
                await link.first.wait()

    def needs(self, upstream: str, bind: tuple[tuple[str, str], ...] = ()) -> Sequence[Need]:
        """The secrets that a call of this upstream needs; `bind`: see `Decision`."""
        link = self._links.get(upstream)
        return link.needs(bind) if link is not None else ()

    def can_judge(self, upstream: str) -> bool:
        """Whether `misfit` says all that there is to say of its tools: not yet, where these are remembered from before
        and more is known of them once the upstream was `tried`."""
        link = self._links.get(upstream)
        return link is None or link.can_judge

    async def tried(self, upstream: str) -> None:
        """Return when its first connection attempt is over, after 10 s at most."""
        if (link := self._links.get(upstream)) is not None:
            with anyio.move_on_after(FIRST):
                await link.first.wait()

    def misfit(self, tool: Tool, arguments: JsonObject) -> str | None:
        """Why this tool cannot be called with these arguments, where that is for the shim to say; see `Kind`."""
        link = self._links.get(tool.upstream)
        return link.misfit(tool, arguments) if link is not None else None

    def forget(self, fingerprint: bytes) -> None:
        """Secrets ended: sessions that were handed those of this fingerprint serve no other call, in any upstream."""
        self._keeper.forget(fingerprint)

    async def call(self, call: Call, target: Offered, params: JsonObject, listener: Listener, leased: Leased) -> Reply:
        """Send one request, of the call's method, for a recorded intent and await the answer.

        `params` are the caller's as they came, but that they name the target as its upstream does; `leased` is what
        `needs` says: it goes to this upstream, for this call and for those with the same values. Raises the Refusals of
        `shim.errors`; a call that may have reached the upstream is never sent again. Cancelling cancels upstream.
        The listener of a `resources/subscribe` is a `Subscriber`.
        """
        link = self._links.get(target.upstream)
        if link is None or not self._keeper.runs:
            raise unavailable(target.upstream, "it is not configured, or the shim is stopping")
        return await link.call(call, target, params, listener, leased)

    def status(self) -> Mapping[str, UpstreamStatus]:
        """How every upstream stands now, in the order of the configuration."""
        return {name: link.status() for name, link in self._links.items()}


class _Keeper:
    """Owns every link, the task group in which all of them live, and what guards children."""

    def __init__(
        self,
        secrets: Secrets,
        on_offer: Callable[[Offer], Awaitable[None]],
        on_event: Callable[[str, JsonObject, str | None], Awaitable[None]],
        environment: Mapping[str, str],
        folder: Path,
        known: Callable[[str], str],
        me: Me,
        jitter: Callable[[], float],
    ) -> None:
        self._secrets = secrets
        self._on_event = on_event
        self._environment = environment
        self._folder = folder
        self._known = known
        self._around = Surroundings(me, self._spawn, self, jitter, on_offer, self._event, on_event)
        self._guards = Guards()
        self._folders = Folders(environment.get("TMPDIR") or "/tmp", self._guards)  # noqa: S108
        self._wants: dict[str, Wants] = {}
        self._scopes: dict[Link, anyio.CancelScope] = {}
        self._group: TaskGroup | None = None
        self._events: asyncio.Queue[tuple[str, JsonObject, str | None]] = asyncio.Queue(_EVENTS)

    @property
    def runs(self) -> bool:
        return self._group is not None

    def hand(self, secrets: Secrets) -> bool:
        """From now on catalogs are read with these. Whether they are others than before."""
        before, self._secrets = self._secrets, secrets
        return secrets is not before

    def forget(self, fingerprint: bytes) -> None:
        for link in self._scopes:
            link.forget(fingerprint)

    @property
    def are_given(self) -> bool:
        """See `shim.lending.Secrets`."""
        return self._secrets.are_given

    def leased(
        self, needs: Sequence[Need], caller: Caller | None = None, call: Call | None = None
    ) -> AbstractAsyncContextManager[Leases]:
        """See `shim.lending.Secrets`: by those that are current."""
        return self._secrets.leased(needs, caller, call)

    def hiding(self, handed: Mapping[str, str]) -> Callable[[str], str]:
        """See `shim.lending.Secrets`; and what looks like a credential goes too."""
        hide = self._secrets.hiding(handed)
        return lambda text: self._known(hide(text))

    async def enter(self) -> None:
        self._group = await anyio.create_task_group().__aenter__()
        self._spawn(self._tell_events)

    async def leave(self) -> None:
        group, self._group = self._group, None
        if group is None:
            return
        group.cancel_scope.cancel()
        try:
            await group.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                for link in self._scopes:
                    await link.close()
                await self._guards.stop()
                self._folders.close()

    def start(self, name: str, block: UpstreamBlock) -> Link:
        """A link that lives from now on."""
        making = Making(self._folder, self._environment, self._guards, self._folders, self._spawn, self.hiding)
        kind = kind_of(name, block, making)
        # They outlive the link: whoever is told of a resource is told by the one that takes its place.
        wants = self._wants.setdefault(name, Wants(name))
        link = Link(name, block, kind, self._around, wants)
        self._scopes[link] = anyio.CancelScope()
        self._spawn(self._live, link)
        return link

    def retire(self, link: Link) -> None:
        """Let a link end once its last call is over."""
        self._scopes[link].cancel()

    async def _live(self, link: Link) -> None:
        with self._scopes[link]:
            async with anyio.create_task_group() as group:
                group.start_soon(_keep, link)
                group.start_soon(_guarded, link.tend, ())
        await link.retire()
        del self._scopes[link]

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


def _runs_alike(old: UpstreamBlock, new: UpstreamBlock) -> bool:
    """Whether what runs for one block serves the other too: how tools are named, and whether they are needed to be
    ready, is no concern of sessions."""
    apart = {"prefix": None, "required": False}
    return old.model_copy(update=apart) == new.model_copy(update=apart)


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
