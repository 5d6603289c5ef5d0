"""What a secret costs a call: none, one lease for each identity, and a fresh one for each call, beside Vault alone.

A real OpenBao that keeps all in memory, and a real PostgreSQL behind it. A hundred identities, each with a credential
of its own by `{identity}` in the path, call one tool whose upstream gets it in a header.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import httpx2

from benchmarks import fronts
from benchmarks.fronts import Front, Shape
from benchmarks.rounds import CALLERS, Series, Size, interleave
from tests.secrets.vaults import Vaults, vaults

LEASES = Size(rounds=5, calls={1: 60, 32: 320})
QUICK_LEASES = Size(rounds=2, calls={1: 30, 32: 160})
SHAPE = Shape(identities=100)
_EACH = 5

_OWN = {"source": "bao", "path": "secret/data/users/{identity}", "field": "token", "ttl": "5m"}
_SECRETS: Mapping[str, Mapping[str, str] | None] = {
    "no secret": None,
    "a file": {"source": "file", "path": "../key"},
    "one lease an identity": {**_OWN, "scope": "identity"},
    "KV, read for each call": _OWN,
    "a database role for each call": {
        "source": "bao",
        "path": "database/creds/reader",
        "field": "password",
        "ttl": "5m",
    },
}


@dataclass(frozen=True)
class Bare:
    """Milliseconds that one request after another took Vault itself, and how many roles a second 32 callers got."""

    read: float
    role: float
    revoke: float
    roles: float


async def leases(size: Size, folder: Path) -> tuple[list[Series], Bare]:
    """Calls a second and latencies with each kind of secret, in one interleaved run, and Vault's own times after it."""
    folder = folder / "leases"
    folder.mkdir(mode=0o700)
    with vaults() as at:
        for number in range(SHAPE.identities):
            at.bao.write(f"secret/data/users/agent-{number}", data={"token": f"credential-of-agent-{number}"})
        key = folder / "key"
        key.write_text("credential-of-everybody")
        key.chmod(0o600)
        async with AsyncExitStack() as stack:
            upstream = await stack.enter_async_context(fronts.bare(SHAPE, folder))
            url = upstream.targets[0].url
            measured = [await stack.enter_async_context(_shim(name, url, at, folder)) for name in _SECRETS]
            return await interleave(measured, size), await _bare(at, size.calls[1])


@asynccontextmanager
async def _shim(name: str, url: str, at: Vaults, folder: Path) -> AsyncIterator[Front]:
    secret = _SECRETS[name]
    auth = {"approle": dict(at.approle)}
    more = {
        "upstreams": {"bench": {"url": url, "headers": {"x-key": "${secret:key}"}}},
        "secret_sources": {"bao": {"type": "vault", "address": at.bao.address, "auth": auth}},
        "secrets": {"key": secret},
    }
    own = folder / re.sub(r"\W+", "-", name)
    async with fronts.shim(SHAPE, url, own, name, more if secret is not None else {}) as front:
        yield front


async def _bare(at: Vaults, times: int) -> Bare:
    """Each on a kept connection, with a token that may do it."""
    headers = {"x-vault-token": at.token}
    async with httpx2.AsyncClient(base_url=at.bao.address, headers=headers, trust_env=False, timeout=60) as client:
        read = [await _took(client, "GET", "/v1/secret/data/users/agent-0") for _ in range(times)]
        role, revoke = zip(*[await _role(client) for _ in range(times)], strict=True)

        async def work() -> None:
            for _ in range(_EACH):
                await _role(client)

        started = perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS[1]):
                group.create_task(work())
        roles = _EACH * CALLERS[1] / (perf_counter() - started)
        return Bare(median(read), median(role), median(revoke), roles)


async def _role(client: httpx2.AsyncClient) -> tuple[float, float]:
    """Milliseconds in which one was made, and revoked."""
    started = perf_counter()
    made = (await client.get("/v1/database/creds/reader")).raise_for_status().json()
    took = (perf_counter() - started) * 1000
    return took, await _took(client, "PUT", "/v1/sys/leases/revoke", {"lease_id": made["lease_id"], "sync": True})


async def _took(client: httpx2.AsyncClient, method: str, path: str, content: object = None) -> float:
    started = perf_counter()
    response = await client.request(method, path, content=json.dumps(content) if content is not None else None)
    response.raise_for_status()
    return (perf_counter() - started) * 1000
