"""The life of an invocation on the record: how one begins, and that each gets its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter

import anyio

from shim.bounds.runs import Runs
from shim.errors import ProtocolError, RecordUnavailable
from shim.model import Call, Caller, Decision, JsonObject, Lease, Offered, Outcome, Reason, Status
from shim.record.recorder import Record

_log = logging.getLogger("shim.gateway")


class Invocations:
    """Begins invocations and sees to it that what began is ended, whoever leaves meanwhile."""

    def __init__(
        self,
        record: Record,
        runs: Runs,
        *,
        policy_digest: str,
        new_id: Callable[[], str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._record = record
        self._runs = runs
        self._policy_digest = policy_digest
        self._new_id = new_id
        self._clock = clock

    def begin(
        self,
        caller: Caller,
        method: str,
        name: str | None = None,
        target: Offered | None = None,
        arguments: JsonObject | None = None,
    ) -> Call:
        """An invocation that begins now. `name` is the target as the caller spelled it, for when there is none."""
        now = self._clock()
        return Call(
            id=self._new_id(),
            caller=caller,
            run=self._runs.name(caller, now),
            method=method,
            tool=target.ref if target is not None else name,
            upstream=target.upstream if target is not None else None,
            arguments=arguments,
            began=now,
            policy=self._policy_digest,
            schema=target.definition.get("inputSchema") if target is not None and target.kind == "tool" else None,
        )

    def would_be(self, caller: Caller) -> tuple[str, datetime]:
        """The run of an invocation that could begin now, and when it would; it does not."""
        now = self._clock()
        return self._runs.would_be(caller, now), now

    async def intend(self, call: Call, decision: Decision) -> None:
        """Commit the intent. Raises RecordUnavailable: then nothing may follow.

        Shielded, as `settle` is: a caller that leaves in the middle must not leave an invocation without an end.
        """
        with anyio.CancelScope(shield=True):
            await self._record.intent(call, decision)

    async def hidden(self, call: Call, decision: Decision) -> None:
        """Put the denial of what the caller may not know of on the record, as far as the record can be written.

        The answer must not depend on how the record fares: it would tell what is hidden from what is not there.
        """
        try:
            await self.intend(call, decision)
        except RecordUnavailable as error:
            _log.error("a denied call of %s could not be recorded: %s", call.caller.identity.name, error)

    async def settle(self, call: Call, outcome: Outcome, leases: tuple[Lease, ...] = ()) -> bool:
        """Commit the outcome, and which secrets were issued for the call.

        False when it could not be recorded: then no answer may be delivered.
        """
        with anyio.CancelScope(shield=True):
            try:
                await self._record.outcome(call, replace(outcome, leases=leases) if leases else outcome)
            except RecordUnavailable as error:
                _log.error("the outcome of %s could not be recorded: %s", call.id, error)
                return False
        return True

    async def note(self, call: Call, kind: str, body: JsonObject) -> None:
        """Commit something that happens in the middle of a call. Raises RecordUnavailable."""
        await self._record.event(kind, body, call.id)

    async def shown(self, caller: Caller, offered: tuple[Offered, ...]) -> None:
        """Commit what a caller is about to be shown, if this version of it is not on the record yet."""
        await self._record.shown(caller.identity.name, self._policy_digest, offered)

    async def refused(self, caller: Caller, method: str | None, error: ProtocolError) -> None:
        """Put a malformed request of a known identity on the record, as far as the record can be written."""
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
        call = self.begin(caller, "subscriptions/listen")
        await self.intend(call, Decision("allow", Reason.GRANTED))
        started = perf_counter()
        status, error = Status.OK, None
        try:
            yield
        except asyncio.CancelledError:
            status, error = Status.CANCELLED, f"{Reason.CANCELLED}: the client left"
            raise
        finally:
            await self.settle(call, Outcome(status, (perf_counter() - started) * 1000, error=error))
