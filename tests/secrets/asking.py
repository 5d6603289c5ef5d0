"""A broker over secrets as a configuration has them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from shim.lending import Leased, Need
from shim.model import Lease
from shim.secrets.broker import Broker
from shim.secrets.config import SecretBlock
from shim.secrets.issuing import Issuer
from shim.secrets.source import Around


def broker(
    secrets: Mapping[str, Mapping[str, str]], environment: Mapping[str, str] | None = None, *, patience: float = 10.0
) -> Broker:
    """Its leases are `lease-1`, `lease-2`, …."""
    ids = itertools.count(1)
    around = Around(environment or {}, lambda: datetime.now(UTC), os.urandom, lambda: f"lease-{next(ids)}")
    return Broker(
        Issuer(around, patience=patience),
        {name: SecretBlock.model_validate(block) for name, block in secrets.items()},
    )


def need(reference: str, secret: str | None = None) -> Need:
    name, _, field = reference.partition(".")
    return Need(reference, secret or name, field or None)


async def taken(asked: Broker, *references: str) -> Leased:
    return (await issued(asked, *references))[0]


async def issued(asked: Broker, *references: str) -> tuple[Leased, tuple[Lease, ...]]:
    async with asked.leased([need(reference) for reference in references]) as leases:
        return await leases.take(), leases.issued


def put(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    """A file with a secret."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path
