"""The one way that every call goes.

authenticate (the face) -> find in catalog -> decide -> record intent (durable) -> call upstream -> record outcome
(durable) -> answer. Nothing reaches an upstream before its intent is on the record, and no answer is delivered before
its outcome is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter

import anyio

from shim.bounds.runs import Runs
from shim.catalog import Catalog
from shim.errors import ProtocolError, RecordUnavailable, Refusal
from shim.model import (
    Answer,
    Call,
    Caller,
    Decision,
    Identity,
    JsonObject,
    Listener,
    Outcome,
    Reason,
    Reply,
    Status,
    Tool,
)
from shim.policy.conditions import Facts
from shim.policy.engine import Policy
from shim.record.recorder import Record
from shim.refusals import refused, unknown_tool, without_shim_meta
from shim.upstream.supervisor import Upstreams
from shim.views import View, Views

_log = logging.getLogger("shim.gateway")

HeaderCheck = Callable[[Tool], None]
"""Raises ProtocolError when a request's headers contradict its body. Called only for tools the caller may see."""


class Gateway:
    """Lists and calls on behalf of authenticated callers. Holds no state of its own; its parts do."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        policy: Policy,
        runs: Runs,
        record: Record,
        upstreams: Upstreams,
        policy_digest: str,
        new_id: Callable[[], str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._catalog = catalog
        self._policy = policy
        self._runs = runs
        self._record = record
        self._upstreams = upstreams
        self._policy_digest = policy_digest
        self._new_id = new_id
        self._clock = clock
        self._views = Views(catalog, policy)

    async def list_tools(self, caller: Caller) -> View:
        """What this caller may see. That it was shown is on the record before the list is delivered."""
        await self._upstreams.settled()
        view = self._views.of(caller.identity)
        await self._record.shown(caller.identity.name, self._policy_digest, view.tools)
        return view

    async def call_tool(
        self, caller: Caller, params: JsonObject, listener: Listener, check: HeaderCheck | None = None
    ) -> Answer:
        """One governed `tools/call`, from intent to answer. `params` are the caller's, strictly read.

        Raises ProtocolError for params that are not a tool call and from `check`; whoever catches it records
        `request.refused`. Cancelling the awaiting task cancels the call upstream and records `cancelled`.
        """
        name, arguments = _read(params)
        tool = await self._find(name)
        call = self._begin(caller, "tools/call", name, tool, arguments)
        decision = self._decide(call, tool)
        if tool is None or not self._policy.visible(caller.identity, tool.ref):
            await self._record_hidden(call, decision)
            return unknown_tool(name)
        if check is not None:
            check(tool)
        try:
            with anyio.CancelScope(shield=True):
                await self._record.intent(call, decision)
        except RecordUnavailable as refusal:
            return refused(call, Decision("deny", refusal.reason), str(refusal))
        if decision.effect != "allow":
            return refused(call, decision)
        return await self._perform(call, decision, tool, params, listener)

    async def _perform(
        self, call: Call, decision: Decision, tool: Tool, params: JsonObject, listener: Listener
    ) -> Answer:
        started = perf_counter()

        def outcome(status: Status, reply: Reply | None = None, error: str | None = None) -> Outcome:
            result, size = (reply.result, reply.size) if reply is not None else (None, None)
            return Outcome(status, (perf_counter() - started) * 1000, result, size, error)

        try:
            reply = await self._upstreams.call(call, tool, params, listener)
        except Refusal as refusal:
            answer = refused(call, Decision("allow", refusal.reason, decision.grant), str(refusal))
            ended = outcome(Status.FAILED, error=f"{refusal.reason}: {refusal}")
        except asyncio.CancelledError:
            await self._settle(call, outcome(Status.CANCELLED, error=f"{Reason.CANCELLED}: by the caller"))
            raise
        else:
            reply = without_shim_meta(reply)
            answer = Answer(reply.result, reply.error)
            ended = outcome(_status(reply), reply, _error_text(reply))
        if not await self._settle(call, ended):
            sentence = "it ran, but its outcome could not be recorded"
            return refused(call, Decision("allow", Reason.RECORD_UNAVAILABLE, decision.grant), sentence)
        return answer

    async def _settle(self, call: Call, outcome: Outcome) -> bool:
        # Shielded: a caller that leaves must not leave its invocation without an end.
        with anyio.CancelScope(shield=True):
            try:
                await self._record.outcome(call, outcome)
            except RecordUnavailable as error:
                _log.error("the outcome of %s could not be recorded: %s", call.id, error)
                return False
        return True

    async def refuse(self, caller: Caller, method: str | None, error: ProtocolError) -> None:
        """Put a malformed request of a known identity on the record. Never raises for a record that is unavailable."""
        body = {
            "identity": caller.identity.name,
            "credential": caller.credential.id,
            "address": caller.address,
            "transport": caller.transport,
            "protocol": caller.protocol,
            "method": method,
            "reason": Reason.INVALID_REQUEST,
            "code": error.code,
            "message": str(error),
        }
        try:
            await self._record.event("request.refused", body)
        except RecordUnavailable as unavailable:
            _log.error("a refused request of %s could not be recorded: %s", caller.identity.name, unavailable)

    @asynccontextmanager
    async def listening(self, caller: Caller) -> AsyncIterator[None]:
        """One `subscriptions/listen` as an invocation: intent on entering, outcome on leaving, however that is.

        Raises RecordUnavailable when the intent cannot be recorded.
        """
        call = self._begin(caller, "subscriptions/listen", "", None, None)
        await self._record.intent(call, Decision("allow", Reason.GRANTED))
        started, status = perf_counter(), Status.OK
        try:
            yield
        except asyncio.CancelledError:
            status = Status.CANCELLED
            raise
        finally:
            await self._settle(call, Outcome(status, (perf_counter() - started) * 1000))

    def view(self, identity: Identity) -> View:
        """What an identity would see now; nothing is recorded, as nothing is shown."""
        return self._views.of(identity)

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Have `watcher` called when the catalog changed; the returned function ends that."""
        return self._catalog.watch(watcher)

    async def _find(self, name: str) -> Tool | None:
        tool = self._catalog.now.by_wire.get(name)
        if tool is None:
            await self._upstreams.settled()
            tool = self._catalog.now.by_wire.get(name)
        return tool

    def _begin(self, caller: Caller, method: str, name: str, tool: Tool | None, arguments: JsonObject | None) -> Call:
        now = self._clock()
        return Call(
            id=self._new_id(),
            caller=caller,
            run=self._runs.name(caller, now),
            method=method,
            tool=tool.ref if tool is not None else name,
            upstream=tool.upstream if tool is not None else None,
            arguments=arguments,
            began=now,
            policy=self._policy_digest,
            schema=tool.definition.get("inputSchema") if tool is not None else None,
        )

    def _decide(self, call: Call, tool: Tool | None) -> Decision:
        ref = tool.ref if tool is not None else self._catalog.ref_of(call.tool)
        if ref is None:
            return Decision("deny", Reason.NO_GRANT)
        facts = Facts(call.arguments or {}, call.run, call.caller.client, call.began)
        decision = self._policy.decide(call.caller.identity, ref, facts)
        if tool is None and decision.effect != "deny":
            return Decision("deny", Reason.UNKNOWN_TOOL, decision.grant)
        return decision

    async def _record_hidden(self, call: Call, decision: Decision) -> None:
        try:
            await self._record.intent(call, decision)
        except RecordUnavailable as error:
            _log.error("a denied call of %s could not be recorded: %s", call.caller.identity.name, error)


def _read(params: JsonObject) -> tuple[str, JsonObject]:
    name = params.get("name")
    if not isinstance(name, str):
        raise ProtocolError(-32602, "Invalid params: name must be a string")
    arguments = params.get("arguments", {})
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise ProtocolError(-32602, "Invalid params: arguments must be an object")
    return name, arguments


def _status(reply: Reply) -> Status:
    failed = reply.error is not None or (reply.result or {}).get("isError") is True
    return Status.ERROR if failed else Status.OK


def _error_text(reply: Reply) -> str | None:
    if reply.error is None:
        return None
    return f"{Reason.UPSTREAM_ERROR}: {reply.error.get('code')} {reply.error.get('message')}"
