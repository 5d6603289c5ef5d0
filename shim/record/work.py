"""The units of work that the record commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shim.model import JsonObject, Status
from shim.record import checkpoints
from shim.record.checkpoints import Checkpoint
from shim.record.payloads import Kept
from shim.store.chain import stamp
from shim.store.tx import Part, Tx


@dataclass(frozen=True, slots=True)
class Append:
    """Any event."""

    kind: str
    body: JsonObject
    invocation: str | None
    time: datetime

    def apply(self, tx: Tx) -> None:
        tx.append(self.kind, self.body, self.invocation, self.time)


@dataclass(frozen=True, slots=True)
class AppendAll:
    """Several events of one kind, together."""

    kind: str
    bodies: Sequence[JsonObject]
    time: datetime

    def apply(self, tx: Tx) -> None:
        for body in self.bodies:
            tx.append(self.kind, body, None, self.time)


@dataclass(frozen=True, slots=True)
class WriteIntent:
    """An intent and its arguments; with `process`, that this process owes an outcome."""

    invocation: str
    body: JsonObject
    time: datetime
    arguments: Kept | None
    process: str | None

    def apply(self, tx: Tx) -> None:
        tx.append("intent", self.body, self.invocation, self.time)
        _put(tx, self.invocation, "arguments", self.arguments)
        if self.process is not None:
            tx.began(self.invocation, self.process)


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """An outcome and its result; and an event of its own where its upstream said the value of a secret."""

    invocation: str
    body: JsonObject
    time: datetime
    result: Kept | None
    echoed: JsonObject | None = None

    def apply(self, tx: Tx) -> None:
        if self.echoed is not None:
            tx.append("lease.echoed", self.echoed, self.invocation, self.time)
        tx.append("outcome", self.body, self.invocation, self.time)
        _put(tx, self.invocation, "result", self.result)
        tx.ended(self.invocation)


def _put(tx: Tx, invocation: str, part: Part, kept: Kept | None) -> None:
    if kept is not None:
        tx.put_payload(invocation, part, kept.salt, kept.content)


@dataclass(frozen=True, slots=True)
class WriteShown:
    """What an identity was shown, unless this version already is on the record."""

    version: str
    body: JsonObject
    time: datetime

    def apply(self, tx: Tx) -> None:
        if tx.show(self.version):
            tx.append("shown", self.body, None, self.time)


@dataclass(frozen=True, slots=True)
class WriteLoaded:
    """That a configuration was loaded, and its texts."""

    digest: str
    texts: Sequence[tuple[str, bytes]]
    body: JsonObject
    time: datetime

    def apply(self, tx: Tx) -> None:
        tx.keep_policy(self.digest, self.texts)
        tx.append("config.loaded", self.body, None, self.time)


def no_outcome(status: Status, error: str) -> JsonObject:
    """The body of an outcome that the shim itself writes later, knowing no more than this."""
    return {
        "status": status,
        "duration_ms": None,
        "result_bytes": None,
        "result_sha256": None,
        "result_kept": None,
        "redactions": 0,
        "error": error,
        "secrets": [],
    }


@dataclass(frozen=True, slots=True)
class SettleOrphans:
    """An outcome `unknown` for each running invocation whose process is gone; how many there were."""

    is_alive: Callable[[str], bool]
    time: datetime

    def apply(self, tx: Tx) -> int:
        alive: dict[str, bool] = {}
        count = 0
        for invocation, process in tx.running():
            if process not in alive:
                alive[process] = self.is_alive(process)
            if not alive[process]:
                gone = no_outcome(Status.UNKNOWN, f"outcome-unknown: process {process} ended before the outcome")
                tx.append("outcome", gone, invocation, self.time)
                tx.ended(invocation)
                count += 1
        return count


@dataclass(frozen=True, slots=True)
class SettleLost:
    """Outcomes for invocations whose own could not be recorded, as far as they still are without one."""

    lost: Mapping[str, tuple[Status, str]]
    time: datetime

    def apply(self, tx: Tx) -> None:
        for invocation, (status, error) in self.lost.items():
            if tx.is_running(invocation):
                tx.append("outcome", no_outcome(status, error), invocation, self.time)
                tx.ended(invocation)


@dataclass(frozen=True, slots=True)
class WriteCheckpoint:
    """A checkpoint, if at least `news` events came since the last; None if not."""

    key: Ed25519PrivateKey
    news: int
    time: datetime

    def apply(self, tx: Tx) -> Checkpoint | None:
        last = tx.last_checkpoint()
        # The event of the last checkpoint itself is no news.
        if tx.head.seq - last - (1 if last else 0) < self.news:
            return None
        head, time = tx.head, stamp(self.time)
        checkpoint = checkpoints.sign(self.key, head, time)
        tx.append("checkpoint", checkpoints.body(checkpoint), None, self.time)
        tx.put_checkpoint(head, time, checkpoint.signature)
        return checkpoint
