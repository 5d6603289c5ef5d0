"""Writes the record; the interface that the gateway relies on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shim import jsontext
from shim.errors import RecordUnavailable
from shim.model import Call, Caller, Decision, JsonObject, Lease, Offered, Outcome, Reason, Status
from shim.record.config import Keep, RecordBlock
from shim.record.known import without_credentials
from shim.record.payloads import Kept, Payloads, salt_digest
from shim.record.work import (
    Append,
    AppendAll,
    SettleLost,
    SettleOrphans,
    WriteIntent,
    WriteLoaded,
    WriteOutcome,
    WriteShown,
)
from shim.store.chain import stamp
from shim.store.sqlite import SqliteStore
from shim.store.tx import Part

_MOST_LOST = 100_000
_MOST_REFUSED = 4096
_SHOWN_KEPT = 4096
_LONGEST_ERROR = 500
_SEARCHED = 65_536
_CUT = " … (cut)"


@dataclass(frozen=True, slots=True)
class _Shown:
    offered: Sequence[Offered]
    policy: str


class Record:
    """Appends events. Every method returns only after its events are committed and synced.

    Raises RecordUnavailable when that could not be done in time; then nothing was written.
    """

    def __init__(
        self,
        store: SqliteStore,
        block: RecordBlock,
        *,
        random: Callable[[int], bytes],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`random` gives that many unpredictable bytes (salts); `store.instance` names this process."""
        self._store = store
        self._block = block
        self._clock = clock
        self._payloads = Payloads(random)
        self._shown: dict[str, _Shown] = {}
        self._lost: dict[str, tuple[Status, str]] = {}
        self._refused: dict[tuple[datetime, str | None, str], int] = {}

    async def intent(self, call: Call, decision: Decision) -> None:
        """What is about to happen, or was denied (a denial has no outcome)."""
        kept = None
        if call.arguments is not None:
            kept = await self._payloads.keep(call.arguments, self._block.arguments, call.schema)
        denied = decision.effect == "deny"
        body = _intent_body(call, decision, kept, self._store.instance)
        process = None if denied else self._store.instance
        try:
            await self._store.commit(WriteIntent(call.id, body, call.began, kept, process))
        except RecordUnavailable:
            if not denied:
                # If only the answer of the store was lost, the row must not seem to run for ever.
                self._lose(call.id, Status.FAILED, "the intent could not be recorded; the call was refused")
            raise

    async def outcome(self, call: Call, outcome: Outcome) -> None:
        """How an invocation ended."""
        kept = None
        if outcome.result is not None:
            kept = await self._payloads.keep(outcome.result, self._block.results, size=outcome.size or 0)
        error, hidden = _error(outcome, self._block.results)
        body: JsonObject = {
            "status": outcome.status,
            "duration_ms": round(outcome.duration_ms, 3),
            "result_bytes": kept.size if kept is not None else None,
            **_part("result", kept),
            "redactions": outcome.redactions + hidden + (kept.redactions if kept is not None else 0),
            "error": error,
            "secrets": [_lease(lease) for lease in outcome.leases],
        }
        try:
            await self._store.commit(WriteOutcome(call.id, body, self._clock(), kept, _echoed(call, outcome)))
        except RecordUnavailable:
            self._lose(call.id, Status.UNKNOWN, "it ran, but its outcome could not be recorded")
            raise

    async def shown(self, identity: str, policy: str, offered: Sequence[Offered]) -> None:
        """What an identity is shown, in whichever list it asks for: once for each version of policy and catalog."""
        last = self._shown.get(identity)
        if last is not None and last.offered is offered and last.policy == policy:
            return
        body: JsonObject = {"identity": identity, "policy": policy}
        for kind in ("tool", "prompt", "resource", "template"):
            body[f"{kind}s"] = [
                {"tool": one.ref, "name": one.wire, "digest": one.digest} for one in offered if one.kind == kind
            ]
        await self._store.commit(WriteShown(jsontext.digest(body), body, self._clock()))
        if len(self._shown) >= _SHOWN_KEPT:
            self._shown.clear()
        self._shown[identity] = _Shown(offered, policy)

    async def event(self, kind: str, body: JsonObject, invocation: str | None = None) -> None:
        """Any other event."""
        await self._store.commit(Append(kind, body, invocation, self._clock()))

    async def loaded(self, digest: str, texts: Sequence[tuple[str, str]], *, user: str | None = None) -> None:
        """That the configuration with this digest was loaded; its texts (name, text), which it is over, are kept.

        `user` is the operating-system user as whom this process runs.
        """
        contents = [(name, text.encode("utf-8", "surrogatepass")) for name, text in texts]
        files = [{"name": name, "sha256": hashlib.sha256(content).hexdigest()} for name, content in contents]
        body: JsonObject = {"policy": digest, "files": files, "process": self._store.instance}
        if user is not None:
            body["user"] = user
        await self._store.commit(WriteLoaded(digest, contents, body, self._clock()))

    def auth_refused(self, address: str | None, reason: str) -> None:
        """Count a request without a valid credential; one event a minute, address and reason follows."""
        minute = self._clock().replace(second=0, microsecond=0)
        key = (minute, address, reason)
        if key not in self._refused and len(self._refused) >= _MOST_REFUSED:
            # A flood from everywhere is one line, not one for each address.
            key = (minute, "other", reason)
        self._refused[key] = self._refused.get(key, 0) + 1

    async def settle_orphans(self) -> int:
        """Give invocations whose process is gone the outcome `unknown`; how many there were."""
        count = await self._store.commit(SettleOrphans(self._store.is_alive, self._clock()))
        self._store.sweep()
        return count

    async def catch_up(self, *, everything: bool = False) -> None:
        """Write what had to wait: lost outcomes, and refusals of minutes that are over (or all)."""
        if self._lost:
            lost = dict(self._lost)
            await self._store.commit(SettleLost(lost, self._clock()))
            for invocation in lost:
                del self._lost[invocation]
        now = self._clock()
        over = {
            key: count for key, count in self._refused.items() if everything or now - key[0] >= timedelta(minutes=1)
        }
        if over:
            await self._store.commit(AppendAll("auth.refused", [_refused_body(*item) for item in over.items()], now))
            for key, count in over.items():
                # More may have come meanwhile.
                self._refused[key] -= count
                if not self._refused[key]:
                    del self._refused[key]

    def _lose(self, invocation: str, status: Status, error: str) -> None:
        if len(self._lost) < _MOST_LOST:
            self._lost[invocation] = (status, f"{Reason.RECORD_UNAVAILABLE}: {error}")


def _error(outcome: Outcome, keep: Keep) -> tuple[str | None, int]:
    # An upstream's own words are as little the record's to keep for good as its results are.
    error = outcome.error
    if error is None:
        return None, 0
    if outcome.detail is not None and keep != "digest":
        # Bounded before it is searched, far beyond what is kept.
        error = f"{error} {outcome.detail[:_SEARCHED]}"
    error, hidden = without_credentials(error)
    if len(error) > _LONGEST_ERROR:
        error = error[: _LONGEST_ERROR - len(_CUT)] + _CUT
    return error, hidden


def _lease(lease: Lease) -> JsonObject:
    # What never expires is said aloud: an auditor looks for what somebody has to change by hand.
    return {
        "name": lease.secret,
        "source": lease.source,
        "lease": lease.id,
        "issued": stamp(lease.issued),
        "expires": stamp(lease.expires) if lease.expires is not None else None,
        "revoked": stamp(lease.revoked) if lease.revoked is not None else None,
        **({"long_lived": True} if lease.long_lived else {}),
        **({"scope": lease.scope} if lease.scope != "call" else {}),
    }


def _echoed(call: Call, outcome: Outcome) -> JsonObject | None:
    """What is said of an upstream that said the values of secrets, to whoever looks for such: never a value."""
    if not outcome.echoes:
        return None
    identity, upstream = call.caller.identity.name, call.upstream
    return {"identity": identity, "upstream": upstream, "tool": call.tool, "found": dict(outcome.echoes)}


def _part(name: Part, kept: Kept | None) -> JsonObject:
    body: JsonObject = {
        f"{name}_sha256": kept.sha256 if kept is not None else None,
        f"{name}_kept": kept.keep if kept is not None else None,
    }
    if kept is not None and kept.content is None:
        body[f"{name}_salt_sha256"] = salt_digest(kept.salt)
    return body


def _refused_body(key: tuple[datetime, str | None, str], count: int) -> JsonObject:
    minute, address, reason = key
    return {
        "minute": minute.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "address": address,
        "reason": reason,
        "count": count,
    }


def _name(call: Call) -> str | None:
    # A URI may carry what a name of a tool never does.
    if not call.tool or call.method in ("tools/call", "prompts/get"):
        return call.tool or None
    return without_credentials(call.tool)[0]


def _intent_body(call: Call, decision: Decision, kept: Kept | None, process: str) -> JsonObject:
    caller: Caller = call.caller
    client = caller.client
    return {
        "identity": caller.identity.name,
        "credential": caller.credential.id,
        "address": caller.address,
        "groups": list(caller.identity.groups),
        "client": {"name": client.name, "version": client.version} if client is not None else None,
        "transport": caller.transport,
        "protocol": caller.protocol,
        "process": process,
        "run": call.run,
        "trace": caller.trace,
        "method": call.method,
        "upstream": call.upstream,
        "tool": _name(call),
        **_part("arguments", kept),
        "redactions": kept.redactions if kept is not None else 0,
        "decision": decision.effect,
        "reason": decision.reason,
        "grant": decision.grant,
        "enforced": True,
        "policy": call.policy,
    }
