"""What Vault is asked to make it makes to the end, with a lease, also where the shim dies before the answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest

from tests.parts.odd import ROOT
from tests.promises.databases import left
from tests.secrets.vaults import Vaults, vaults

_ASK = """
import asyncio, sys
from shim.secrets.vaultapi import VaultApi

async def main():
    api = VaultApi(sys.argv[1], None, None)
    async def ask():
        await api.make("GET", "database/creds/slow", sys.argv[2], None, None, lasts=True)
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(ask())

asyncio.run(main())
"""
_AT_WORK = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(0.3)%' AND pid <> pg_backend_pid()"
_CREATE = """CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"""


@pytest.fixture(scope="module")
def at() -> Iterator[Vaults]:
    with vaults() as found:
        yield found


async def test_every_role_has_a_lease_where_the_client_was_killed(at: Vaults) -> None:
    # given a database that takes its time, and one process in the middle of asking for roles
    at.bao.write(
        "database/roles/slow", db_name="pg", creation_statements=["SELECT pg_sleep(0.3)", _CREATE], default_ttl="1h"
    )
    asking = await asyncio.create_subprocess_exec(sys.executable, "-c", _ASK, at.bao.address, at.token, cwd=ROOT)
    # when it is killed
    async with asyncio.timeout(20):
        while int(at.postgres.ask(_AT_WORK)[0]) < 1:  # noqa: ASYNC110 (nothing there tells anybody)
            await asyncio.sleep(0.02)
    asking.kill()
    await asking.wait()
    # then all of them are made, and can be revoked
    roles: list[str] = []
    async with asyncio.timeout(30):
        while len(roles) < 4 or len(roles) != len(at.bao.listed("sys/leases/lookup/database/creds/slow")):
            await asyncio.sleep(0.05)
            roles, _ = left(at)
    at.bao.write("sys/leases/revoke-prefix/database/creds/slow", sync=True)
    assert left(at)[0] == []
