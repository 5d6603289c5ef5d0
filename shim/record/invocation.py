"""One invocation as it is listed and exported: one flat object (RECORD contract, "Exported")."""

from __future__ import annotations

from collections.abc import Callable

from shim import jsontext
from shim.model import Json, JsonObject, Status
from shim.store.chain import decode
from shim.store.reader import Payload, Reader, Row

FIELDS = (
    "id",
    "seq",
    "time",
    "identity",
    "credential",
    "address",
    "groups",
    "client",
    "transport",
    "protocol",
    "process",
    "run",
    "trace",
    "method",
    "upstream",
    "tool",
    "arguments",
    "arguments_sha256",
    "decision",
    "reason",
    "grant",
    "enforced",
    "policy",
    "approval",
    "secrets",
    "status",
    "duration_ms",
    "result",
    "result_bytes",
    "result_sha256",
    "redactions",
    "error",
    "hash",
    "salts",
)
"""The members, in their order."""


class Invocation:
    """A row with its events read and its status known; its payloads are read only for `exported`."""

    def __init__(self, row: Row, is_alive: Callable[[str], bool]) -> None:
        self._row = row
        self._intent: JsonObject = decode(row.intent)
        self._body: JsonObject = self._intent["body"]
        self._end: JsonObject = decode(row.outcome)["body"] if row.outcome is not None else {}
        self.seq = row.seq
        self.id: str = self._intent["invocation"]
        self.tool: str | None = self._body["tool"] or None
        self.status = self._status(is_alive)

    def _status(self, is_alive: Callable[[str], bool]) -> Status:
        if self._end:
            return Status(self._end["status"])
        if self._body["decision"] == "deny":
            return Status.DENIED
        return Status.RUNNING if is_alive(self._body["process"]) else Status.UNKNOWN

    def exported(self, reader: Reader) -> JsonObject:
        """The exported object: all of `FIELDS`, in order."""
        row, body, end = self._row, self._body, self._end
        arguments, result = reader.payload(self.id, "arguments"), reader.payload(self.id, "result")
        extra: JsonObject = {
            "id": self.id,
            "seq": row.seq,
            "time": self._intent["time"],
            "tool": self.tool,
            "arguments": _content(arguments),
            "approval": None,
            "secrets": self._secrets(reader),
            "status": self.status.value,
            "duration_ms": end.get("duration_ms"),
            "result": _content(result),
            "result_bytes": end.get("result_bytes"),
            "result_sha256": end.get("result_sha256"),
            "redactions": body["redactions"] + end.get("redactions", 0),
            "error": end.get("error"),
            "hash": row.hash.hex(),
            "salts": {"arguments": _salt(arguments), "result": _salt(result)},
        }
        return {name: extra[name] if name in extra else body[name] for name in FIELDS}

    def _secrets(self, reader: Reader) -> list[JsonObject]:
        """The leases of its outcome, and when those were revoked; of a call without one, those that were issued."""
        there: list[JsonObject] = self._end.get("secrets", [])
        if (there and all(one.get("long_lived") for one in there)) or (self.status is not Status.UNKNOWN and not there):
            return there
        events = [decode(event.text) for event in reader.events_of(self.id)]
        revoked = {
            event["body"]["lease"]: event["body"]["revoked"] for event in events if event["kind"] == "lease.revoked"
        }
        if not there:
            bodies = [event["body"] for event in events if event["kind"] == "lease.issued"]
            there = [
                {"name": body["secret"], "revoked": None}
                | {key: body[key] for key in ("source", "lease", "issued", "expires")}
                for body in bodies
            ]
        return [one | {"revoked": revoked.get(one["lease"], one["revoked"])} for one in there]


def _content(payload: Payload | None) -> Json:
    return jsontext.parse(payload.content) if payload is not None and payload.content is not None else None


def _salt(payload: Payload | None) -> str | None:
    return payload.salt.hex() if payload is not None else None
