"""What is left of database roles when the shim is killed, and when OpenBao goes away in the middle: nothing."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from tests.parts.openbao import Restartable, restartable_openbao
from tests.parts.postgres import postgres
from tests.promises.databases import (
    Asked,
    ask,
    calls,
    configured,
    exported,
    left,
    nothing,
    sql_over_http,
    sql_over_stdio,
    with_headers,
)
from tests.promises.running import Running, run, serving, token
from tests.promises.wire import http
from tests.secrets.vaults import Vaults, set_up, vaults

SWEEP = 20.0
"""Seconds within which what a killed process left is revoked, once another is up."""


@pytest.fixture(scope="module")
def at() -> Iterator[Vaults]:
    with vaults() as found:
        yield found


async def work(shim: Running, first: asyncio.Event) -> None:
    """Call after call, until the connection breaks."""
    with suppress(httpx2.TransportError):
        async with http(shim.url, "modern", token=token("alice")) as caller:
            while True:
                await ask(caller)
                first.set()


async def kills(folder: Path, at: Vaults, count: int, seed: int) -> None:
    chance = random.Random(seed)
    async with sql_over_http(at.postgres) as url:
        config = configured(folder, at, with_headers(url))
        for _ in range(count):
            first = asyncio.Event()
            async with serving(config) as shim, asyncio.TaskGroup() as group:
                for _ in range(16):
                    group.create_task(work(shim, first))
                await first.wait()
                # No synchronisation but the instant itself, which is what is tried.
                await asyncio.sleep(chance.uniform(0, 1))
                shim.kill()
                await shim.process.wait()
            async with serving(config) as shim:
                assert await nothing(at, within=SWEEP) == ([], [])
            rows = await exported(config)
            assert {row["status"] for row in rows} <= {"ok", "unknown", "cancelled", "failed", "error"}
            code, verified, _ = await run(config, "log", "verify", "--json")
            assert code == 0, verified
        print(f"{count} kills: {len(rows)} calls on the record")


async def test_a_kill_leaves_nothing(tmp_path: Path, at: Vaults) -> None:
    await kills(tmp_path, at, 1, seed=13)


@pytest.mark.soak
async def test_many_kills_leave_nothing(tmp_path: Path, at: Vaults) -> None:
    await kills(tmp_path, at, 20, seed=14)


@pytest.mark.soak
async def test_five_hundred_calls_at_sixteen_callers_leave_nothing(tmp_path: Path, at: Vaults) -> None:
    roles, leases = left(at)
    assert leases == []
    before = set(roles)
    async with sql_over_http(at.postgres) as url, serving(configured(tmp_path, at, with_headers(url))) as shim:
        answers = await calls(shim, callers=16, each=32)
        await nothing(at, within=5.0)
    assert Counter(answer.text.split("|")[1] for answer in answers) == {"1": 512}
    assert len({answer.text for answer in answers}) == 512
    roles, leases = left(at)
    assert (set(roles) - before, leases) == (set(), [])


@pytest.mark.soak
async def test_two_hundred_processes_of_a_real_server_leave_nothing(tmp_path: Path, at: Vaults) -> None:
    before = set(left(at)[0])
    async with serving(configured(tmp_path, at, sql_over_stdio(at.postgres))) as shim:
        answers = await calls(shim, callers=16, each=13)
        await nothing(at, within=5.0)
    assert [answer.refused for answer in answers if answer.refused] == []
    assert len({answer.text for answer in answers}) == 208
    roles, leases = left(at)
    assert (set(roles) - before, leases) == (set(), [])


@pytest.fixture
def restartable(tmp_path: Path) -> Iterator[tuple[Restartable, Vaults]]:
    with restartable_openbao(tmp_path / "bao") as server, postgres() as database:
        yield server, set_up(server.bao, database)


async def go_on(shim: Running, enough: asyncio.Event, seen: list[Asked], changed: asyncio.Condition) -> None:
    async with http(shim.url, "modern", token=token("alice")) as caller:
        while not enough.is_set():
            seen.append(await ask(caller))
            async with changed:
                changed.notify_all()


@pytest.mark.soak
@pytest.mark.parametrize("ends", ["stop", "kill"])
async def test_openbao_ends_and_starts_in_the_middle(
    tmp_path: Path, restartable: tuple[Restartable, Vaults], ends: str
) -> None:
    server, at = restartable
    end = {"stop": server.stop, "kill": server.kill}[ends]
    seen: list[Asked] = []
    enough, changed = asyncio.Event(), asyncio.Condition()

    async def come(refused: str | None, more: int) -> None:
        """Return once so many more calls have ended so."""
        until = sum(one.refused == refused for one in seen) + more
        async with asyncio.timeout(60), changed:
            await changed.wait_for(lambda: sum(one.refused == refused for one in seen) >= until)

    async with sql_over_http(at.postgres) as url:
        config = configured(tmp_path, at, with_headers(url))
        async with serving(config) as shim:
            async with asyncio.TaskGroup() as group:
                for _ in range(16):
                    group.create_task(go_on(shim, enough, seen, changed))
                await come(None, 32)
                await asyncio.to_thread(end)
                await come("secret-unavailable", 16)
                await asyncio.to_thread(server.start)
                await come(None, 32)
                enough.set()
            roles, leases = await nothing(at, within=2 * SWEEP)
            assert leases == []
            # Killed between making a role and writing its lease down, OpenBao knows of none: its own end is left.
            assert roles == [] or ends == "kill"
            assert all(
                at.postgres.ask(
                    f"SELECT rolvaliduntil < now() + interval '2 hours' FROM pg_roles WHERE rolname = '{role}'"
                )
                == ["t"]
                for role in roles
            )
    assert {one.refused for one in seen} == {None, "secret-unavailable"}
    answered = [one.text for one in seen if one.refused is None]
    assert len(set(answered)) == len(answered)
    print(f"OpenBao, {ends} and start: {Counter(one.refused for one in seen)}; {len(roles)} roles without a lease")
