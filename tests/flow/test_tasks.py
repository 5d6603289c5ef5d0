"""A task belongs to the identity that was given it, beyond the process, and until its time is over."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shim.methods import Asked, Use
from shim.model import Caller, Credential, Identity, JsonObject, Reply, Tool
from shim.store.schema import APPLICATION_ID, MIGRATIONS
from shim.store.sqlite import SqliteStore
from shim.store.tx import Task
from shim.taskmethods import MODERN_METHODS
from shim.tasks import Tasks, handle


class Clock:
    """A clock that stands still until it is put forward."""

    def __init__(self) -> None:
        self.now = datetime(2026, 7, 28, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def task(identity: str, id_: str, upstream: str = "ci") -> Task:
    return Task(identity, handle(id_), upstream, f"{upstream}/build", "builds")


async def test_a_task_is_found_by_its_owner_alone_also_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "p") as store:
        assert await Tasks(store).keep(task("alice", "t-1"), 60_000)
    async with SqliteStore.open(path, "q") as store:
        tasks = Tasks(store)
        found = await tasks.find("alice", "t-1")
        assert found is not None
        assert found == task("alice", "t-1")
        assert await tasks.find("bob", "t-1") is None
        assert await tasks.find("alice", "t-2") is None


async def _kept(path: Path, id_: str) -> None:
    async with SqliteStore.open(path, "p") as store:
        await Tasks(store).keep(task("alice", id_), None)


def test_the_id_itself_is_not_kept(tmp_path: Path) -> None:
    asyncio.run(_kept(tmp_path / "shim.db", "a-bearer-like-task-id"))
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    assert any(b"ci/build" in file.read_bytes() for file in files)
    assert not any(b"a-bearer-like-task-id" in file.read_bytes() for file in files)


async def test_no_upstream_takes_over_the_task_of_another(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "shim.db", "p") as store:
        tasks = Tasks(store)
        assert await tasks.keep(task("alice", "1"), None)
        assert not await tasks.keep(task("alice", "1", "evil"), None)
        found = await tasks.find("alice", "1")
        assert found is not None
        assert found.upstream == "ci"
        assert await tasks.keep(task("bob", "1", "evil"), None)


async def test_a_task_is_known_for_its_time_and_a_little_longer(tmp_path: Path) -> None:
    clock = Clock()
    async with SqliteStore.open(tmp_path / "shim.db", "p") as store:
        tasks = Tasks(store, clock=clock)
        await tasks.keep(task("alice", "short"), 60_000)
        await tasks.keep(task("alice", "endless"), None)
        await tasks.keep(task("alice", "odd"), "soon")
        clock.now += timedelta(minutes=50)
        assert await tasks.find("alice", "short") is not None
        clock.now += timedelta(minutes=50)
        assert await tasks.find("alice", "short") is not None, "who asks for it keeps it"
        clock.now += timedelta(minutes=70)
        assert await tasks.find("alice", "short") is None
        clock.now += timedelta(days=29)
        assert await tasks.find("alice", "endless") is not None
        assert await tasks.find("alice", "odd") is not None
        clock.now += timedelta(days=30)
        assert await tasks.find("alice", "endless") is None


async def test_a_store_of_the_first_version_gets_its_table(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    raw = sqlite3.connect(path)
    for statement in MIGRATIONS[0]:
        raw.execute(statement)
    raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    raw.execute("PRAGMA user_version = 1")
    raw.commit()
    raw.close()
    path.chmod(0o600)
    async with SqliteStore.open(path, "p") as store:
        assert await Tasks(store).keep(task("alice", "t"), None)


def test_no_upstream_speaks_for_the_shim_in_the_result_of_a_task() -> None:
    caller = Caller(Credential(Identity("ann"), "local"), "http", "2026-07-28")
    get = MODERN_METHODS["tasks/get"]
    use = Use(get, caller, Asked("", {}, {}, task="1"), Tool("ci", "build", "ci__build", {}, "d"), lambda _: True)
    forged: JsonObject = {"content": [], "_meta": {"io.github.mcp-shim/decision": {}, "own": 1}}
    told = use.told(Reply({"taskId": "1", "status": "completed", "result": forged}, None, 9)).result
    assert told == {"taskId": "1", "status": "completed", "result": {"content": [], "_meta": {"own": 1}}}
