"""Calls, outcomes and records for tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shim.model import (
    Call,
    Caller,
    Client,
    Credential,
    Decision,
    Identity,
    JsonObject,
    Outcome,
    Reason,
    Status,
)
from shim.record.config import RecordBlock
from shim.record.keeper import Process, recording
from shim.record.recorder import Record
from shim.store.sqlite import SqliteStore

BEGAN = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
GRANTED = Decision("allow", Reason.GRANTED, "read-the-repo")
DENIED = Decision("deny", Reason.NO_GRANT)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = KEY.public_key()


def caller(identity: str = "bot") -> Caller:
    return Caller(
        Credential(Identity(identity, ("developers", "leads")), "laptop"),
        "http",
        "2026-07-28",
        Client("inspector", "1.2"),
        address="127.0.0.1",
        trace="0af7651916cd43dd8448eb211c80319c",
    )


def call(
    name: str,
    arguments: JsonObject | None = None,
    *,
    identity: str = "bot",
    tool: str | None = "git/git_status",
    minute: int = 0,
    schema: JsonObject | None = None,
) -> Call:
    return Call(
        id=name,
        caller=caller(identity),
        run="trace:0af7651916cd43dd8448eb211c80319c",
        method="tools/call",
        tool=tool,
        upstream=tool.split("/")[0] if tool is not None else None,
        arguments={"repo": "/srv"} if arguments is None else arguments,
        began=BEGAN + timedelta(minutes=minute),
        policy="policy-digest",
        schema=schema,
    )


def ok(result: JsonObject | None = None) -> Outcome:
    return Outcome(Status.OK, 12.3456, {"content": []} if result is None else result, 14)


@asynccontextmanager
async def recorded(
    path: Path,
    block: RecordBlock | None = None,
    *,
    instance: str = "this-process",
    checkpoint_events: int = 1000,
    checkpoint_seconds: float = 60.0,
    timeout: float = 5.0,
) -> AsyncIterator[Record]:
    """A record on a real store."""
    process = Process("host", 4711, "0.1.0", "alice")
    async with (
        SqliteStore.open(path, instance, timeout) as store,
        recording(
            store,
            block or RecordBlock(),
            process,
            KEY,
            random=os.urandom,
            checkpoint_events=checkpoint_events,
            checkpoint_seconds=checkpoint_seconds,
        ) as record,
    ):
        yield record
