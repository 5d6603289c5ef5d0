"""The one way that every call goes.

authenticate (the face) -> find in catalog -> decide -> record intent (durable) -> lease secrets -> call upstream ->
record outcome (durable) -> revoke leases -> answer. Nothing reaches an upstream, and no secret is asked for, before the
intent is on the record; no answer is delivered before the outcome is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from time import perf_counter

from shim.catalog import Catalog
from shim.errors import ProtocolError, RecordUnavailable, Refusal
from shim.invocations import Invocations
from shim.model import Answer, Call, Caller, Decision, Identity, JsonObject, Leases, Listener, Reason, Secrets, Tool
from shim.policy.conditions import Facts
from shim.policy.engine import Policy
from shim.refusals import answered, arguments_of, broken, failed, left, refused, unknown_tool
from shim.upstream.supervisor import Upstreams
from shim.views import View, Views

_log = logging.getLogger("shim.gateway")

HeaderCheck = Callable[[Tool], None]
"""Raises ProtocolError when a request's headers contradict its body. Called only for tools the caller may see."""


class Gateway:
    """Lists and calls on behalf of authenticated callers. Holds no state of its own; its parts do."""

    def __init__(
        self, *, catalog: Catalog, policy: Policy, invocations: Invocations, upstreams: Upstreams, secrets: Secrets
    ) -> None:
        self._catalog = catalog
        self._policy = policy
        self._invocations = invocations
        self._upstreams = upstreams
        self._secrets = secrets
        self._views = Views(catalog, policy)

    async def list_tools(self, caller: Caller) -> View:
        """What this caller may see. That it was shown is on the record before the list is delivered."""
        await self._upstreams.settled()
        view = self._views.of(caller.identity)
        await self._invocations.shown(caller, view.tools)
        return view

    async def call_tool(
        self, caller: Caller, params: JsonObject, listener: Listener, check: HeaderCheck | None = None
    ) -> Answer:
        """One governed `tools/call`, from intent to answer. `params` are the caller's, strictly read.

        Raises ProtocolError for params that are not a tool call and from `check`; whoever catches it records
        `request.refused`. Cancelling the awaiting task cancels the call upstream and records `cancelled`.
        """
        name, arguments = arguments_of(params)
        tool = await self._find(name)
        call = self._invocations.begin(caller, "tools/call", name, tool, arguments)
        decision = self._decide(call, tool)
        if tool is None or not self._policy.visible(caller.identity, tool.ref):
            await self._record_hidden(call, decision)
            return unknown_tool(name)
        if check is not None:
            check(tool)
        try:
            await self._invocations.intend(call, decision)
        except RecordUnavailable as error:
            _log.error("a call of %s was refused, because it could not be recorded: %s", caller.identity.name, error)
            return refused(call, Decision("deny", error.reason))
        if decision.effect != "allow":
            return refused(call, decision)
        async with self._secrets.leased(self._upstreams.needs(tool.upstream)) as leases:
            return await self._perform(call, decision, tool, params, listener, leases)

    async def _find(self, name: str) -> Tool | None:
        tool = self._catalog.now.by_wire.get(name)
        if tool is None:
            await self._upstreams.settled()
            tool = self._catalog.now.by_wire.get(name)
        return tool

    def _decide(self, call: Call, tool: Tool | None) -> Decision:
        ref = tool.ref if tool is not None else self._catalog.ref_of(call.tool or "")
        if ref is None:
            return Decision("deny", Reason.NO_GRANT)
        facts = Facts(call.arguments or {}, call.run, call.caller.client, call.began)
        decision = self._policy.decide(call.caller.identity, ref, facts)
        if tool is None and decision.effect != "deny":
            return Decision("deny", Reason.UNKNOWN_TOOL, decision.grant)
        return decision

    async def _record_hidden(self, call: Call, decision: Decision) -> None:
        # The answer must not depend on how the record fares: it would tell what is hidden from what is not there.
        try:
            await self._invocations.intend(call, decision)
        except RecordUnavailable as error:
            _log.error("a denied call of %s could not be recorded: %s", call.caller.identity.name, error)

    async def _perform(
        self, call: Call, decision: Decision, tool: Tool, params: JsonObject, listener: Listener, leases: Leases
    ) -> Answer:
        started = perf_counter()
        try:
            reply = await self._upstreams.call(call, tool, params, listener, await leases.take())
        except Refusal as refusal:
            answer, outcome = failed(call, decision, refusal, _since(started))
        except asyncio.CancelledError:
            await self._invocations.settle(call, left(_since(started)), leases.issued)
            raise
        except Exception:
            # A defect of the shim's own: it goes on as one, but what began gets its end.
            await self._invocations.settle(call, broken(_since(started)), leases.issued)
            raise
        else:
            answer, outcome = answered(reply, _since(started))
        if not await self._invocations.settle(call, outcome, leases.issued):
            sentence = "it ran, but its outcome could not be recorded"
            return refused(call, Decision("allow", Reason.RECORD_UNAVAILABLE, decision.grant), sentence)
        return answer

    async def refuse(self, caller: Caller, method: str | None, error: ProtocolError) -> None:
        """Put a malformed request of a known identity on the record."""
        await self._invocations.refused(caller, method, error)

    def listening(self, caller: Caller) -> AbstractAsyncContextManager[None]:
        """One `subscriptions/listen` as an invocation, for as long as the block lasts. Raises RecordUnavailable."""
        return self._invocations.listening(caller)

    def view(self, identity: Identity) -> View:
        """What an identity would see now; nothing is recorded, as nothing is shown."""
        return self._views.of(identity)

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Have `watcher` called when the catalog changed; the returned function ends that."""
        return self._catalog.watch(watcher)


def _since(started: float) -> float:
    return (perf_counter() - started) * 1000
