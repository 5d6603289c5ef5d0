"""A lease ended by a person, beside the process that asked for it and goes on."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shim.config.configuration import Configuration
from shim.errors import ShimError
from shim.record.signing import signing_key
from shim.secrets.config import SourceBlock
from shim.secrets.ledger import Ledger, Sealing
from shim.secrets.source import PATIENCE, Around, Source, Unavailable
from shim.store.sqlite import SqliteStore
from shim.store.tx import LeaseRow


class NotRevoked(ShimError):
    """It is as it was. `str()` says why, and what to do."""


async def revoke(configuration: Configuration, lease: str, environment: Mapping[str, str], *, user: str) -> LeaseRow:
    """Have its source end a lease, and say on the record that `user` did; the lease as it was before.

    Nothing happens to one that is over, as its `revoked` says. Whoever holds it notices within seconds, and hands it to
    no call that is recorded after this. Raises NotRevoked, and RecordUnavailable.
    """
    path = Path(configuration.store.path)
    async with SqliteStore.open(path, secrets.token_hex(8)) as store:
        sealing = Sealing(signing_key(configuration.record, path).private_bytes_raw(), os.urandom)
        ledger = Ledger(store, sealing, lambda: datetime.now(UTC))
        row = await ledger.find(lease)
        if row is None:
            raise NotRevoked(f"there is no lease {lease!r}; `mcp-shim secrets leases` lists those that there are")
        if row.revoked is not None:
            return row
        block = configuration.sources.get(row.source)
        if block is None:
            raise NotRevoked(
                f"{lease} is not revoked, and goes on to be used: its source {row.source} is not configured any more; "
                "configure it again, or end it there by hand"
            )
        revocation = ledger.revocation(row, block.type)
        if revocation is None:
            raise NotRevoked(
                f"what revokes {lease} was sealed by another key, or {row.source} is of another type now: put that back"
            )
        around = Around(environment, ledger.clock, os.urandom, lambda: f"unrecorded-{os.urandom(8).hex()}")
        try:
            async with _source(row.source, block, around) as source, asyncio.timeout(PATIENCE):
                await source.revoke(revocation, orphaned=ledger.is_orphan(row))
        except (Unavailable, TimeoutError) as error:
            why = str(error) or f"its source did not answer within {PATIENCE:g} s"
            raise NotRevoked(f"{lease} is not revoked, and goes on to be used: {why}") from None
        await ledger.over(lease, "revoked", "it was revoked by hand", user)
        return row


@asynccontextmanager
async def _source(name: str, block: SourceBlock, around: Around) -> AsyncIterator[Source[Any]]:
    source: Source[Any] = block.kind.make(name, block.where(), around)
    try:
        yield source
    finally:
        await source.close()
