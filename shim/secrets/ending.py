"""Ends leases at their sources: at once, again where that failed, and those that processes left behind."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from shim.errors import RecordUnavailable
from shim.model import JsonObject
from shim.secrets.faults import where
from shim.secrets.ledger import Ledger
from shim.secrets.source import PATIENCE, Source, Unavailable
from shim.secrets.sources import Sources
from shim.store.tx import LeaseRow

_log = logging.getLogger("shim.secrets")

_REVOKING = 5.0


class Ending:
    """Knows what is to be revoked still. Without a ledger nothing is written."""

    def __init__(self, ledger: Ledger | None, configured: Sources) -> None:
        self._ledger = ledger
        self._configured = configured
        self._unfinished: dict[str, tuple[str, Source[Any], JsonObject]] = {}

    @property
    def sources(self) -> Iterator[Source[Any]]:
        """Those that have something to revoke still."""
        return (source for _, source, _ in self._unfinished.values())

    async def revoke(self, lease: str, name: str, source: Source[Any], revocation: JsonObject, why: str) -> None:
        """Have a lease revoked within 5 s, else it is tried `again`."""
        self._unfinished[lease] = (name, source, revocation)
        failed = await _failed(source, revocation, orphaned=False)
        if failed is not None:
            _log.warning("the lease %s of %s could not be revoked yet: %s", lease, name, failed)
        else:
            await self.over(lease, "revoked", why)

    async def over(self, lease: str, what: Literal["revoked", "ended", "lost"], why: str) -> None:
        """Nobody has to look after it any more."""
        self._unfinished.pop(lease, None)
        if self._ledger is not None:
            # Else the row stays, and is looked at again: to revoke what is over does nothing.
            with suppress(RecordUnavailable):
                await self._ledger.over(lease, what, why)

    async def again(self, held: Container[str], let_go: Callable[[Source[Any]], Awaitable[None]]) -> None:
        """Revoke what could not be before, but for what is held; `let_go` is told of each source after that."""
        for lease, (name, source, revocation) in [*self._unfinished.items()]:
            if lease not in held:
                await self.revoke(lease, name, source, revocation, "it could not be revoked before")
                await let_go(source)

    async def sweep(self, now: datetime) -> float:
        """Revoke what processes left behind that are gone: for each together, once no source can be at work any more on
        what it asked for last. The seconds until that is so for another.
        """
        if self._ledger is None:
            return math.inf
        try:
            rows = [row for row in await self._ledger.live() if self._ledger.is_orphan(row)]
        except RecordUnavailable as error:
            _log.warning("leases that others left could not be looked for: %s", error)
            return math.inf
        last: dict[str, datetime] = {}
        for row in rows:
            asked = datetime.fromisoformat(row.issued)
            last[row.process] = max(asked, last.get(row.process, asked))
        # What a clock of another machine has wrong does not count: nothing waits longer than this.
        waits = {process: PATIENCE - abs((now - asked).total_seconds()) for process, asked in last.items()}
        await self._swept([row for row in rows if waits[row.process] <= 0])
        return min((seconds for seconds in waits.values() if seconds > 0), default=math.inf)

    async def _swept(self, rows: Iterable[LeaseRow]) -> None:
        assert self._ledger is not None
        for row in rows:
            source = self._configured.get(row.source)
            revocation = self._ledger.revocation(row, self._configured.kind(row.source))
            if source is None or revocation is None:
                why = "another key sealed it, or its source is of another type now"
                why = "its source is not configured any more" if source is None else why
                _log.error("the lease %s of %s was left behind and cannot be revoked: %s", row.lease, row.source, why)
                await self.over(row.lease, "lost", why)
                continue
            failed = await _failed(source, revocation, orphaned=True)
            if failed is not None:
                _log.warning(
                    "the lease %s of %s, left behind, could not be revoked yet: %s", row.lease, row.source, failed
                )
            else:
                await self.over(row.lease, "revoked", f"process {row.process} ended before")


async def _failed(source: Source[Any], revocation: JsonObject, *, orphaned: bool) -> str | None:
    """Have a source end something; why it did not."""
    try:
        async with asyncio.timeout(_REVOKING):
            await source.revoke(revocation, orphaned=orphaned)
    except (Unavailable, TimeoutError) as error:
        return str(error) or "no answer in time"
    except Exception as error:  # noqa: BLE001 (the boundary of a source that breaks its word, or was another once)
        return f"its source failed: {where(error)}"
    return None
