"""P3 where it matters: each call is a database role of its own, which exists during the call and is gone after it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.databases import (
    calls,
    configured,
    exported,
    leases_of,
    left,
    once,
    sql_over_http,
    sql_over_stdio,
    until,
    with_headers,
)
from tests.promises.running import run, serving
from tests.secrets.vaults import Vaults, vaults

WHOSE = ("alice", "bob")


@pytest.fixture(scope="module")
def at() -> Iterator[Vaults]:
    with vaults() as found:
        yield found


async def test_a_server_that_nobody_here_wrote_runs_each_call_as_a_role_of_its_own(tmp_path: Path, at: Vaults) -> None:
    config = configured(tmp_path, at, sql_over_stdio(at.postgres))
    async with serving(config) as shim:
        answers = [await once(shim, who) for who in ("alice", "alice", "bob")]
        rows = [answer.row for answer in answers]
        assert [str(row["count"]) for row in rows] == ["1", "1", "1"]
        assert len({row["current_user"] for row in rows}) == 3
        assert left(at) == ([], [])
    issued = list(leases_of(await exported(config)))
    assert [(one["name"], one["source"], one.get("long_lived")) for one in issued] == [("db", "bao", None)] * 3
    assert all(one["issued"] < one["revoked"] for one in issued)


async def test_many_at_once_leave_nothing(tmp_path: Path, at: Vaults) -> None:
    async with sql_over_http(at.postgres) as url:
        config = configured(tmp_path, at, with_headers(url))
        async with serving(config) as shim:
            answers = await calls(shim, callers=16, each=3)
            await gone(at)
    assert [answer.text.split("|")[1] for answer in answers] == ["1"] * 48
    assert len({answer.text for answer in answers}) == 48
    code, verified, _ = await run(config, "log", "verify", "--json")
    assert code == 0, verified


@pytest.mark.soak
async def test_what_the_role_may_not_do_is_the_database_s_answer(tmp_path: Path, at: Vaults) -> None:
    async with sql_over_http(at.postgres) as url:
        config = configured(tmp_path, at, with_headers(url))
        async with serving(config) as shim:
            answer = await once(shim, sql="CREATE ROLE other LOGIN")
            assert "permission denied" in answer.text
            assert answer.refused is None
    assert left(at) == ([], [])


@pytest.mark.parametrize("how", [pytest.param("http", marks=pytest.mark.soak), "stdio"])
async def test_each_identity_is_who_its_own_path_says(tmp_path: Path, at: Vaults, how: str) -> None:
    for who in WHOSE:
        at.postgres.ask(f"DROP ROLE IF EXISTS {who}_desk; CREATE ROLE {who}_desk LOGIN PASSWORD 'password-of-{who}'")
        credential = {"username": f"{who}_desk", "password": f"password-of-{who}"}
        at.bao.write(f"secret/data/users/{who}/desk", data=credential)
    async with sql_over_http(at.postgres) as url:
        upstream = with_headers(url) if how == "http" else sql_over_stdio(at.postgres)
        config = configured(tmp_path, at, upstream, path="secret/data/users/{identity}/desk", scope="identity")
        async with serving(config) as shim:
            answers = await calls(shim, callers=4, each=5)
    told = [answer.text.partition("|")[0] if how == "http" else answer.row["current_user"] for answer in answers]
    assert told == ([*["alice_desk"] * 5, *["bob_desk"] * 5] * 2)
    rows = await exported(config)
    leases = {who: {one["lease"] for row in rows if row["identity"] == who for one in row["secrets"]} for who in WHOSE}
    assert all(leases.values())
    assert leases["alice"].isdisjoint(leases["bob"])
    for who in WHOSE:
        at.postgres.ask(f"DROP ROLE {who}_desk")


async def made(at: Vaults) -> None:
    roles, leases = await until(at, lambda roles, leases: bool(roles and leases), within=20)
    assert (len(roles), len(leases)) == (1, 1)


async def gone(at: Vaults) -> None:
    assert await until(at, lambda roles, leases: not roles and not leases, within=5) == ([], [])


async def test_however_a_call_ends_its_role_is_gone(tmp_path: Path, at: Vaults) -> None:
    forever = "SELECT pg_sleep(60)"
    async with sql_over_http(at.postgres) as url:
        config = configured(tmp_path, at, with_headers(url).replace("{", "{timeout: 2s, ", 1))
        async with serving(config) as shim:
            slow = await once(shim, sql=forever)
            assert slow.refused == "upstream-timeout"
            await gone(at)

            leaving = asyncio.ensure_future(once(shim, sql=forever))
            await made(at)
            leaving.cancel()
            await gone(at)

            stopped = asyncio.ensure_future(once(shim, sql=forever))
            await made(at)
            shim.process.terminate()
            await shim.process.wait()
            await asyncio.wait([stopped])
        assert left(at) == ([], [])
    rows = await exported(config)
    # A process that is to stop lets calls end first: this one by its own time.
    assert [row["status"] for row in rows] == ["failed", "cancelled", "failed"]
    assert all(lease["revoked"] for lease in leases_of(rows))
