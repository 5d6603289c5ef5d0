"""What the store knows of credentials that people gave: a sealed row for each, and the events of its life."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shim.model import JsonObject
from shim.store.chain import stamp
from shim.store.sqlite import SqliteStore
from shim.store.tx import GivenRow, Tx


@dataclass(frozen=True, slots=True)
class Given:
    """Rows and events. Every method returns once it is committed; raises RecordUnavailable else.

    Who may open what is sealed is no concern of it.
    """

    store: SqliteStore
    clock: Callable[[], datetime]
    _news: set[asyncio.Event] = field(default_factory=set, repr=False)

    async def of(self, identity: str, source: str, secret: str) -> GivenRow | None:
        """What a person gave."""
        return await self.store.commit(_Of(identity, source, secret))

    async def all(self, source: str | None = None) -> list[GivenRow]:
        """All that people gave, or what they gave for one source."""
        return await self.store.commit(_All(source))

    async def keep(self, row: GivenRow) -> None:
        """A person gave this, perhaps in place of what they gave before."""
        kept = replace(row, created=stamp(self.clock()))
        await self.store.commit(_Keep(kept, self.clock()))
        for event in self._news:
            event.set()

    async def claim(self, row: GivenRow, seconds: float) -> GivenRow | None:
        """Have a row to oneself that nobody has, for so long at most; None: somebody has it, or it is another now."""
        now = self.clock()
        if row.claimed is not None and row.claimed > stamp(now):
            return None
        until = stamp(now + timedelta(seconds=seconds))
        return replace(row, claimed=until) if await self.store.commit(_Claim(row, until)) else None

    async def leave(self, row: GivenRow) -> None:
        """Who claimed a row does nothing with it."""
        await self.store.commit(_Claim(row, None))

    async def refresh(self, row: GivenRow, sealed: bytes, expires: str | None) -> GivenRow | None:
        """Put what came instead in the place of a row; None where another has taken that place meanwhile."""
        now = self.clock()
        new = replace(row, sealed=sealed, expires=expires, refreshed=stamp(now), claimed=None)
        return new if await self.store.commit(_Refresh(row, new, now)) else None

    async def doubt(self, row: GivenRow, sealed: bytes) -> bool:
        """Put the same, sealed with a doubt about it, in the place of a row."""
        return await self.store.commit(_Refresh(row, replace(row, sealed=sealed, claimed=None), None))

    async def died(self, row: GivenRow, why: str) -> bool:
        """It is of no use any more, and forgotten. False where another has taken its place, or it was gone already."""
        unit = _Drop((row.identity, row.source, row.secret), row.sealed, "died", {"why": why}, self.clock())
        return await self.store.commit(unit) is not None

    async def delete(self, identity: str, source: str, secret: str, *, by: str) -> GivenRow | None:
        """Forget what a person gave, as `by` wants (a user of the operating system, or the identity); what it was."""
        return await self.store.commit(_Drop((identity, source, secret), None, "deleted", {"user": by}, self.clock()))

    async def news(self, seconds: float) -> None:
        """Return when this process was given something, and after so many seconds: others may have been by then."""
        event = asyncio.Event()
        self._news.add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._news.discard(event)


def _said(row: GivenRow) -> JsonObject:
    return {"identity": row.identity, "secret": row.secret, "source": row.source}


@dataclass(frozen=True, slots=True)
class _Of:
    identity: str
    source: str
    secret: str

    def apply(self, tx: Tx) -> GivenRow | None:
        return tx.given(self.identity, self.source, self.secret)


@dataclass(frozen=True, slots=True)
class _All:
    source: str | None

    def apply(self, tx: Tx) -> list[GivenRow]:
        return tx.all_given(self.source)


@dataclass(frozen=True, slots=True)
class _Keep:
    row: GivenRow
    time: datetime

    def apply(self, tx: Tx) -> None:
        tx.put_given(self.row)
        tx.append("secret.given", _said(self.row) | {"expires": self.row.expires}, None, self.time)


@dataclass(frozen=True, slots=True)
class _Claim:
    row: GivenRow
    until: str | None

    def apply(self, tx: Tx) -> bool:
        return tx.claim_given(self.row, self.until)


@dataclass(frozen=True, slots=True)
class _Refresh:
    before: GivenRow
    row: GivenRow
    time: datetime | None

    def apply(self, tx: Tx) -> bool:
        there = tx.given(self.row.identity, self.row.source, self.row.secret)
        if there is None or there.sealed != self.before.sealed:
            return False
        tx.put_given(self.row)
        if self.time is not None:
            tx.append("secret.refreshed", _said(self.row) | {"expires": self.row.expires}, None, self.time)
        return True


@dataclass(frozen=True, slots=True)
class _Drop:
    row: tuple[str, str, str]
    sealed: bytes | None
    what: str
    more: JsonObject
    time: datetime

    def apply(self, tx: Tx) -> GivenRow | None:
        dropped = tx.drop_given(*self.row, self.sealed)
        if dropped is not None:
            tx.append(f"secret.{self.what}", _said(dropped) | self.more, None, self.time)
        return dropped
