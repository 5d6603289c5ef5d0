"""The one way that every use of a tool, a prompt or a resource goes; `shim.methods` has what differs between them.

authenticate (the face) -> find in catalog -> decide -> record intent (durable) -> lease secrets -> call upstream ->
scrub result -> record outcome (durable) -> revoke leases -> answer. Nothing reaches an upstream, and no secret is asked
for, before the intent is on the record; no answer is delivered before the outcome is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from time import perf_counter

from shim import fixed
from shim.catalog import Catalog
from shim.deciding import decide
from shim.errors import ProtocolError, RecordUnavailable, Refusal
from shim.finding import Finder
from shim.hearing import Hearing
from shim.invocations import Invocations
from shim.lending import Leases, Secrets
from shim.methods import Method, Use
from shim.model import Answer, Call, Caller, Decision, Identity, JsonObject, Listener, Offered, Reason
from shim.policy.engine import Policy
from shim.refusals import UNRECORDED, answered, broken, failed, left, refused
from shim.scrubbing import Scrubbing
from shim.tasks import Tasks
from shim.upstream.supervisor import Upstreams
from shim.views import View, Views
from shim.wanting import Wanting

_log = logging.getLogger("shim.gateway")

HeaderCheck = Callable[[Offered], None]
"""Raises ProtocolError when a request's headers contradict its body. Called only for what the caller may see."""


class Gateway:
    """Lists and calls on behalf of authenticated callers. Holds no state of its own; its parts do."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        policy: Policy,
        invocations: Invocations,
        upstreams: Upstreams,
        secrets: Secrets,
        tasks: Tasks,
    ) -> None:
        self._catalog = catalog
        self._policy = policy
        self._invocations = invocations
        self._upstreams = upstreams
        self._secrets = secrets
        self._tasks = tasks
        self._wanting = Wanting(invocations, secrets)
        self._views = Views(catalog, policy)
        self.hearing = Hearing(policy, invocations.would_be)
        self._finder = Finder(catalog, upstreams, tasks)

    async def lists(self, caller: Caller) -> View:
        """What this caller may see. That it was shown is on the record before any list of it is delivered."""
        await self._upstreams.settled()
        view = self._views.of(caller.identity)
        await self._invocations.shown(caller, view.offered)
        return view

    async def call(
        self, caller: Caller, method: Method, params: JsonObject, listener: Listener, check: HeaderCheck | None = None
    ) -> Answer:
        """One governed request, from intent to answer. `params` are the caller's, strictly read.

        Raises ProtocolError for params that the method does not have and from `check`; whoever catches it records
        `request.refused`. Cancelling the awaiting task cancels the call upstream and records `cancelled`.
        """
        asked, sees = method.read(params), partial(self._policy.visible, caller.identity)
        found = await self._finder.find(method, asked, caller.identity, sees)
        target = found.target
        call = self._invocations.begin(caller, method.name, asked.name, target, asked.arguments)
        decision = decide(self._policy, self._upstreams.misfit, call, asked, found)
        if target is None or not sees(target.ref):
            await self._invocations.hidden(call, decision)
            return method.unknown(asked, caller)
        if check is not None:
            check(target)
        try:
            await self._invocations.intend(call, decision)
        except RecordUnavailable as error:
            _log.error("a call of %s was refused, because it could not be recorded: %s", caller.identity.name, error)
            return refused(call, Decision("deny", error.reason))
        if decision.effect != "allow":
            return refused(call, decision)
        call = replace(call, may_ask=decision.may_ask, bind=decision.bind)
        needs = (*self._upstreams.needs(target.upstream, call.bind), *fixed.needs(call, target))
        async with self._secrets.leased(needs, caller, call) as leases:
            use = Use(method, caller, asked, target, sees)
            return await self._perform(call, decision, use, params, listener, leases)

    async def _perform(
        self, call: Call, decision: Decision, use: Use, params: JsonObject, listener: Listener, leases: Leases
    ) -> Answer:
        started, scrub = perf_counter(), Scrubbing(leases.scrubber)
        try:
            leased = await self._wanting.take(call, leases, listener)
            target, sent = fixed.filled(call, use.target, use.towards(params), leased)
            reply = await self._upstreams.call(call, target, sent, scrub.listener(listener), leased)
            reply = await self._tasks.take(call, use.target, decision, use.told(await scrub.reply(reply)))
        except Refusal as refusal:
            await self._wanting.look(refusal, leases)
            answer, outcome = failed(call, decision, scrub.refusal(fixed.veiled(refusal, use.target)), _since(started))
        except (asyncio.CancelledError, Exception) as error:
            # A defect of the shim's own goes on as one, but what began gets its end.
            end = left if isinstance(error, asyncio.CancelledError) else broken
            await self._invocations.settle(call, end(_since(started)), leases.issued)
            raise
        else:
            answer, outcome = answered(reply, _since(started))
        if not await self._invocations.settle(call, scrub.counted(outcome), leases.issued):
            return refused(call, Decision("allow", Reason.RECORD_UNAVAILABLE, decision.grant), UNRECORDED)
        return answer

    async def refuse(self, caller: Caller, method: str | None, error: ProtocolError) -> None:
        """Put a malformed request of a known identity on the record."""
        await self._invocations.refused(caller, method, error)

    def listening(self, caller: Caller) -> AbstractAsyncContextManager[None]:
        """One `subscriptions/listen` as an invocation, for as long as the block lasts. Raises RecordUnavailable."""
        return self._invocations.listening(caller)

    def may_be_asked(self, caller: Caller) -> bool:
        """Whether this caller's client could be asked anything in some call."""
        by_upstreams = bool(caller.capabilities) and self._policy.may_be_asked(caller.identity)
        return by_upstreams or self._wanting.may_ask(caller)

    def view(self, identity: Identity) -> View:
        """What an identity would see now; nothing is recorded, as nothing is shown."""
        return self._views.of(identity)

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Have `watcher` called when the catalog changed; the returned function ends that."""
        return self._catalog.watch(watcher)


def _since(started: float) -> float:
    return (perf_counter() - started) * 1000
