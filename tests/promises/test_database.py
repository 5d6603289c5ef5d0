"""P3 where it matters: each call is a database role of its own, which exists during the call and is gone after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.databases import (
    calls,
    configured,
    exported,
    leases_of,
    left,
    no_leases,
    once,
    sql_over_http,
    sql_over_stdio,
    with_headers,
)
from tests.promises.running import run, serving
from tests.secrets.vaults import Vaults, vaults


@pytest.fixture(scope="module")
def at() -> Iterator[Vaults]:
    with vaults() as found:
        yield found


async def test_a_server_that_nobody_here_wrote_runs_each_call_as_a_role_of_its_own(tmp_path: Path, at: Vaults) -> None:
    config = configured(tmp_path, at, sql_over_stdio(at.postgres))
    async with serving(config) as shim:
        answers = [await once(shim, who) for who in ("alice", "alice", "bob")]
        rows = [json.loads(answer.text)["rows"][0] for answer in answers]
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
            assert await no_leases(at, within=5.0) == ([], [])
    assert [answer.text.split("|")[1] for answer in answers] == ["1"] * 48
    assert len({answer.text for answer in answers}) == 48
    code, verified, _ = await run(config, "log", "verify", "--json")
    assert code == 0, verified


async def test_what_the_role_may_not_do_is_the_database_s_answer(tmp_path: Path, at: Vaults) -> None:
    async with sql_over_http(at.postgres) as url:
        config = configured(tmp_path, at, with_headers(url))
        async with serving(config) as shim:
            answer = await once(shim, sql="CREATE ROLE other LOGIN")
            assert "permission denied" in answer.text
            assert answer.refused is None
    assert left(at) == ([], [])
