"""What a person gave, deleted by whoever runs the shim, beside the processes that use it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from shim.config.configuration import Configuration
from shim.errors import ShimError
from shim.secrets.broker import Broker
from shim.secrets.given import Given
from shim.secrets.giving import withdrawn
from shim.secrets.issuing import Issuer
from shim.secrets.source import Around, Unavailable
from shim.store.sqlite import SqliteStore
from shim.store.tx import GivenRow


class NotEnded(ShimError):
    """It is deleted here, and its source still takes it. `str()` says why, and what to do."""


async def withdraw(
    configuration: Configuration, identity: str, secret: str, environment: Mapping[str, str], *, user: str
) -> list[GivenRow]:
    """Delete what a person gave of a secret, say on the record that `user` did, and end it where that can be done.

    What there was: nothing where they gave nothing. A call that takes its leases after this is not handed it, but those
    that share a wider lease are until its end. Raises NotEnded, and RecordUnavailable.
    """
    async with SqliteStore.open(Path(configuration.store.path), secrets.token_hex(8)) as store:
        given = Given(store, lambda: datetime.now(UTC))
        around = Around(environment, given.clock, os.urandom, lambda: f"unrecorded-{os.urandom(8).hex()}", given)
        issuer = Issuer(around)
        # What makes the sources, those that others need among them.
        broker = Broker(issuer, configuration.secrets, configuration.sources)
        try:
            rows, left = [], []
            for row in await given.all():
                if (row.identity, row.secret) == (identity, secret):
                    # As it was deleted: it may have been refreshed since it was read.
                    deleted = await given.delete(row.identity, row.source, row.secret, by=user)
                    if deleted is not None:
                        rows.append(deleted)
                        try:
                            await withdrawn(issuer.source(row.source), deleted)
                        except Unavailable as unavailable:
                            left.append(f"{row.source}: {unavailable}")
        finally:
            await broker.aclose()
    if left:
        raise NotEnded(f"it is deleted, and could not be ended at its source ({'; '.join(left)})")
    return rows
