"""Asking a source for one lease: on the record before it is asked for, whole or not at all."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from shim.errors import RecordUnavailable
from shim.model import JsonObject, Lease, Scope
from shim.secrets.ending import Ending
from shim.secrets.held import Asked, Held
from shim.secrets.ledger import Ledger
from shim.secrets.source import Around, Issued, Source, Unavailable, Wanted
from shim.secrets.values import check
from shim.store.chain import stamp
from shim.store.tx import LeaseRow

_LATE: Final = 100.0
"""Seconds for an answer that revokes something: nobody waits for it any more, and what comes is ended."""
_SHARED: Final = 900.0
"""Seconds that a lease of a run or an identity lasts where neither the secret nor its source says."""


class Asking:
    """Without a ledger nothing is written. `patience`: the seconds that a source has to answer."""

    def __init__(self, around: Around, ledger: Ledger | None, ending: Ending, patience: float) -> None:
        self._around = around
        self._ledger = ledger
        self._ending = ending
        self._patience = patience

    async def issue(self, asked: Asked, *, late: bool) -> Held:
        """A new lease. Raises Unavailable; then there is none, or it is being ended.

        With `late` an answer is also awaited when it is too late for whoever asked.
        """
        source = asked.of
        id_, now = self._around.new_id(), self._around.clock()
        purpose = replace(asked.purpose, lease=id_)
        row = LeaseRow(id_, "", asked.secret, asked.source, asked.scope, purpose.identity, asked.cause, stamp(now))
        prepared: JsonObject | None = None
        try:
            async with asyncio.timeout(self._patience):
                prepared = await source.prepare(asked.keys, purpose)
            if prepared is not None:
                await self._put(row, asked.kind, prepared)
            async with asyncio.timeout(_LATE if late and prepared is not None else self._patience):
                issued = await source.issue(asked.keys, asked.fields, purpose)
        except TimeoutError:
            why = f"its source ({asked.source}) did not answer within {self._patience:g} s"
            await self._failed(row, source, prepared, why)
            raise Unavailable(why) from None
        except Wanted:
            # Nothing failed: nobody was asked yet.
            raise
        except Unavailable as unavailable:
            await self._failed(row, source, prepared, str(unavailable))
            raise
        except Exception:
            # Of one that breaks its word, too, nothing is left.
            await self._failed(row, source, prepared, "its source failed")
            raise
        return await self._issued(asked, row, issued, prepared)

    async def _issued(self, asked: Asked, row: LeaseRow, issued: Issued, prepared: JsonObject | None) -> Held:
        source, now = asked.of, self._around.clock()
        revocation = issued.revocation
        expires = _first(issued.expires, asked.purpose.ttl, now, asked.scope)
        long_lived = issued.expires is None and revocation is None
        try:
            for name, value in issued.values.items():
                check(value, is_public=name is not None and name in asked.public)
            row = replace(row, issued=stamp(now), expires=stamp(expires) if expires is not None else None)
            await self._kept(row, asked.kind, revocation, long_lived=long_lived)
        except (Unavailable, RecordUnavailable) as error:
            await self._failed(row, source, revocation if revocation is not None else prepared, str(error))
            raise Unavailable(str(error)) from None
        if prepared is not None and revocation is None:
            # What was foreseen did not come: there is nothing to revoke.
            await self._ending.over(row.lease, "ended", "there is nothing to revoke")
        lease = Lease(row.lease, asked.secret, asked.source, now, expires, long_lived=long_lived, scope=asked.scope)
        ends = None
        if expires is not None:
            ends = asyncio.get_running_loop().time() + (expires - now).total_seconds()
        return Held(lease, issued.values, source, revocation, ends, None, issued.doubt, identity=row.identity)

    async def _put(self, row: LeaseRow, kind: str, prepared: JsonObject) -> None:
        if self._ledger is None:
            return
        try:
            await self._ledger.asked(row, kind, prepared)
        except RecordUnavailable as error:
            raise Unavailable(f"that it is asked for could not be recorded: {error}") from None

    async def _kept(self, row: LeaseRow, kind: str, revocation: JsonObject | None, *, long_lived: bool) -> None:
        if self._ledger is not None and not await self._ledger.issued(row, kind, revocation, long_lived=long_lived):
            raise Unavailable("it was revoked while it was asked for; the next call asks for another")

    async def _failed(self, row: LeaseRow, source: Source[Any], revocation: JsonObject | None, why: str) -> None:
        if self._ledger is not None:
            with suppress(RecordUnavailable):
                await self._ledger.trouble(row, "failed", why)
        if revocation is not None:
            await self._ending.revoke(row.lease, row.source, source, revocation, why)


def _first(expires: datetime | None, ttl: float | None, now: datetime, scope: Scope) -> datetime | None:
    if ttl is None and expires is None and scope != "call":
        ttl = _SHARED
    ends = [one for one in (expires, now + timedelta(seconds=ttl) if ttl is not None else None) if one is not None]
    return min(ends, default=None)
