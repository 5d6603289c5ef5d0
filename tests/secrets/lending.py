"""A source that can be told how to behave, in place of a vault: what it lent and took back is looked at from outside.

It shows what the broker does around any source. Real sources are shown against the real thing, one test file each.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from shim.lending import Need
from shim.model import Call, Caller, Credential, Identity, JsonObject
from shim.secrets.broker import Broker
from shim.secrets.config import KINDS, Kind, SecretBlock, SourceBlock
from shim.secrets.issuing import Issuer
from shim.secrets.ledger import Ledger, Sealing
from shim.secrets.source import PATIENCE, Around, Issued, Purpose, Unavailable
from shim.store.sqlite import SqliteStore
from shim.units import Block


class Where(Block):
    """Nothing: there is one of it."""


class Keys(Block):
    name: Annotated[str, StringConstraints(min_length=1)] | None = None


@dataclass
class Lender:
    """`live` has what was lent and not taken back."""

    live: dict[str, Purpose] = field(default_factory=dict)
    lent: int = 0
    taken_back: list[tuple[str, bool]] = field(default_factory=list)
    may_go_on: asyncio.Event | None = None
    refuses: str | None = None
    keeps: bool = False
    breaks_at: str | None = None
    breaks_late: bool = False
    value: Callable[[str], str] = "value-of-{}".format
    seconds: float = 60.0

    async def prepare(self, secret: Keys, purpose: Purpose) -> JsonObject:
        return {"of": purpose.lease}

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        if self.refuses is not None:
            raise Unavailable(self.refuses)
        self.lent += 1
        self.live[purpose.lease] = purpose
        if self.may_go_on is not None:
            await self.may_go_on.wait()
        if self.breaks_late:
            raise KeyError("canary-7f3a9c51")
        expires = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return Issued(dict.fromkeys(fields, self.value(purpose.lease)), expires, {"of": purpose.lease})

    async def revoke(self, revocation: JsonObject, *, orphaned: bool) -> None:
        if revocation["of"] == self.breaks_at:
            raise KeyError("canary-7f3a9c51")
        if self.keeps:
            raise Unavailable("it does not take anything back now")
        self.taken_back.append((revocation["of"], orphaned))
        self.live.pop(revocation["of"], None)

    async def close(self) -> None:
        """Nothing is held."""


DESK: Mapping[str, object] = {"desk": {"type": "lender"}}


def known(lender: Lender) -> dict[str, Kind]:
    """The kinds of source, and this one among them."""
    return {**KINDS, "lender": Kind(Keys, (), has_fields=True, make=lambda *_: lender, where=Where, fills=True)}


@asynccontextmanager
async def lending(
    store: SqliteStore, sources: Mapping[str, object] = DESK, patience: float = PATIENCE, **secrets: object
) -> AsyncIterator[tuple[Broker, Issuer]]:
    """A broker whose secrets come from the source `desk`, of type `lender`, which the caller put among the kinds.

    For a store of the instance `dead` it is a minute earlier.
    """
    ids = itertools.count(1)
    ago = timedelta(minutes=1 if store.instance == "dead" else 0)
    around = Around({}, lambda: datetime.now(UTC) - ago, os.urandom, lambda: f"{store.instance}-{next(ids)}")
    ledger = Ledger(store, Sealing(b"k" * 32, os.urandom), around.clock)
    issuer = Issuer(around, ledger=ledger, patience=patience)
    blocks = {name: SecretBlock.model_validate({"source": "desk"} | dict(more)) for name, more in secrets.items()}  # type: ignore[call-overload]
    broker = Broker(issuer, blocks, {name: SourceBlock.model_validate(block) for name, block in sources.items()})
    async with issuer.running():
        yield broker, issuer


def calling(identity: str = "alice", run: str = "r1", id_: str = "i1") -> tuple[Caller, Call]:
    """A caller, and an invocation of theirs."""
    caller = Caller(Credential(Identity(identity), "local"), "cli", "2026-07-28")
    call = Call(id_, caller, run, "tools/call", "up/tool", "up", {}, datetime.now(UTC), "p")
    return caller, call


NEED = Need("key", "key")


@asynccontextmanager
async def opened(tmp_path: Path, instance: str) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(tmp_path / "shim.db", instance) as store:
        yield store
