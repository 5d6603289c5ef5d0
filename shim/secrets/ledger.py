"""What the store knows of leases: a row for each that can be revoked, kept before it is asked for, and their events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from shim.model import JsonObject
from shim.sealed import Sealer
from shim.store.chain import stamp
from shim.store.sqlite import SqliteStore
from shim.store.tx import LeaseRow, Tx

_REMEMBERED = timedelta(hours=24)


class Sealing:
    """Seals what revokes a lease, bound to that lease: whoever reads the store alone cannot use it."""

    def __init__(self, key: bytes, random: Callable[[int], bytes]) -> None:
        """`key` is one that all processes of the store have, and the store has not. Only what is derived is used."""
        self._sealer = Sealer(key, "mcp-shim leases", random)

    def seal(self, lease: str, revocation: JsonObject) -> bytes:
        return self._sealer.seal(lease.encode(), revocation)

    def open(self, lease: str, sealed: bytes) -> JsonObject | None:
        """What was sealed for this lease; None where another key sealed it."""
        return self._sealer.open(lease.encode(), sealed)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Rows and events of leases. Every method returns once it is committed; raises RecordUnavailable else.

    Events of leases for reading a catalog, which belong to no identity, are `server.lease.*`; all others `lease.*`.
    """

    store: SqliteStore
    sealing: Sealing
    clock: Callable[[], datetime]

    async def asked(self, row: LeaseRow, kind: str, revocation: JsonObject) -> None:
        """A credential is about to be asked for, that has to be revoked; `kind` is the type of its source."""
        kept = replace(row, process=self.store.instance, revocation=self._sealed(row, kind, revocation))
        await self.store.commit(_Keep("asked", kept, _said(kept), self.clock()))

    async def issued(self, row: LeaseRow, kind: str, revocation: JsonObject | None, *, long_lived: bool) -> bool:
        """It was issued. Without a `revocation` there is nothing to revoke, so there is no row.

        False, and nothing is kept, when somebody ended it while it was asked for.
        """
        sealed = self._sealed(row, kind, revocation) if revocation is not None else None
        kept = replace(row, process=self.store.instance, revocation=sealed)
        body = _said(kept) | {"issued": row.issued, "expires": row.expires}
        if long_lived:
            body["long_lived"] = True
        return await self.store.commit(_Keep("issued", kept, body, self.clock(), keep=sealed is not None))

    async def over(
        self, lease: str, what: Literal["revoked", "ended", "lost"], why: str, user: str | None = None
    ) -> bool:
        """Nobody looks after it any more: its source `revoked` it, or there is nothing to revoke (`ended`), or no way.

        `user`: the person who had it done. False when somebody else had seen to that already.
        """
        return await self.store.commit(_End(lease, what, why, user, self.clock()))

    async def trouble(self, row: LeaseRow, what: str, why: str) -> None:
        """`failed`: it was not issued; `stuck`: it could not be revoked yet, which is tried again."""
        await self.store.commit(_Keep(what, row, _said(row) | {"error": why}, self.clock(), keep=False))

    async def live(self) -> list[LeaseRow]:
        """All leases that nobody has ended; those that ended long ago are forgotten on the way."""
        return await self.store.commit(_Live(stamp(self.clock() - _REMEMBERED)))

    async def alive(self) -> frozenset[str]:
        """The leases of this process that nobody has ended, this process or another."""
        return await self.store.commit(_Alive(self.store.instance))

    async def find(self, lease: str) -> LeaseRow | None:
        """What is known of a lease; None where none has this id, or it ended long ago."""
        return await self.store.commit(_Find(lease))

    @property
    def news(self) -> int:
        """See `SqliteStore.news`."""
        return self.store.news

    def is_orphan(self, row: LeaseRow) -> bool:
        """Whether the process that asked for it is gone."""
        return not self.store.is_alive(row.process)

    def revocation(self, row: LeaseRow, kind: str) -> JsonObject | None:
        """What revokes it at a source of that type; None where another key sealed it, or it is of another type.

        What is of use to one server is shown to no other, whatever has its name now.
        """
        said = self.sealing.open(row.lease, row.revocation) if row.revocation is not None else None
        if said is None or said["type"] != kind:
            return None
        revocation: JsonObject = said["revocation"]
        return revocation

    def _sealed(self, row: LeaseRow, kind: str, revocation: JsonObject) -> bytes:
        return self.sealing.seal(row.lease, {"type": kind, "revocation": revocation})


def _said(row: LeaseRow) -> JsonObject:
    said = {"lease": row.lease, "secret": row.secret, "source": row.source, "scope": row.scope}
    return said | ({"identity": row.identity} if row.identity is not None else {})


def _kind(row: LeaseRow, what: str) -> str:
    return f"lease.{what}" if row.identity is not None else f"server.lease.{what}"


@dataclass(frozen=True, slots=True)
class _Keep:
    what: str
    row: LeaseRow
    body: JsonObject
    time: datetime
    keep: bool = True

    def apply(self, tx: Tx) -> bool:
        if self.keep:
            known = tx.lease(self.row.lease)
            if known is not None and known.revoked is not None:
                return False
            tx.put_lease(self.row)
        tx.append(_kind(self.row, self.what), self.body, self.row.invocation, self.time)
        return True


@dataclass(frozen=True, slots=True)
class _End:
    lease: str
    what: str
    why: str
    user: str | None
    time: datetime

    def apply(self, tx: Tx) -> bool:
        row = tx.end_lease(self.lease, stamp(self.time))
        if row is None:
            return False
        revoked = {"revoked": stamp(self.time)} if self.what == "revoked" else {}
        by = {"user": self.user} if self.user is not None else {}
        tx.append(_kind(row, self.what), _said(row) | revoked | {"why": self.why} | by, row.invocation, self.time)
        return True


@dataclass(frozen=True, slots=True)
class _Alive:
    process: str

    def apply(self, tx: Tx) -> frozenset[str]:
        return frozenset(row.lease for row in tx.live_leases_of(self.process))


@dataclass(frozen=True, slots=True)
class _Find:
    lease: str

    def apply(self, tx: Tx) -> LeaseRow | None:
        return tx.lease(self.lease)


@dataclass(frozen=True, slots=True)
class _Live:
    forget: str

    def apply(self, tx: Tx) -> list[LeaseRow]:
        tx.forget_leases(self.forget)
        return tx.live_leases()
