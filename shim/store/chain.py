"""The bytes of an event, and the hash that ties it to the one before (RECORD contract, "Events")."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import orjson

from shim import jsontext
from shim.model import Json, JsonObject

GENESIS = bytes(32)
"""What stands for the hash of the event before the first."""


def link(previous: bytes, text: bytes) -> bytes:
    """SHA-256 over the previous hash (32 raw bytes) and the event's text."""
    return hashlib.sha256(previous + text).digest()


def stamp(time: datetime) -> str:
    """RFC 3339 in UTC with six digits and `Z`."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def encode(seq: int, time: str, kind: str, invocation: str | None, body: JsonObject) -> bytes:
    """The text of one event, in UTF-8."""
    event = {"seq": seq, "time": time, "kind": kind, "invocation": invocation, "body": body}
    try:
        return orjson.dumps(event)
    except TypeError:
        # What orjson cannot write: integers over 64 bits and lone surrogates, both of which callers can send.
        return jsontext.dump(event)


def decode(text: bytes) -> Json:
    """An event's text as a value. Exact but for integers over 64 bits, which none of the shim's own members hold."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return jsontext.parse(text)
