"""A store that fails: calls are refused, the process lives, and recovers by itself."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shim.errors import RecordUnavailable
from shim.store.files import sidecar
from shim.store.sqlite import SqliteStore
from tests.store import power
from tests.store.units import Add, names


class Commander:
    """A process on a disk whose faults are set from here."""

    def __init__(self, process: subprocess.Popen[str], fault: Path) -> None:
        self._process = process
        self._fault = fault

    def fail(self, letter: str) -> None:
        self._fault.write_text(letter)

    def commit(self, name: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        return self.read()

    def read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def commander(folder: Path, lib: Path) -> Iterator[Commander]:
    root, fault = folder / "disk", folder / "fault"
    root.mkdir()
    fault.write_text("")
    command = [sys.executable, "-m", "tests.store.commander", str(root / "shim.db"), "2"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=power.environment(lib, root, fault=fault),
    ) as process:
        told = Commander(process, fault)
        assert told.read() == "ready"
        yield told
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.parametrize(("letter", "why"), [("F", "full"), ("R", "disk I/O error"), ("S", "disk I/O error")])
def test_a_failing_disk_refuses_and_then_recovers(tmp_path: Path, disk_library: Path, letter: str, why: str) -> None:
    with commander(tmp_path, disk_library) as told:
        assert told.commit("a") == "ok 1"
        told.fail(letter)
        for name in ("b", "c"):
            said = told.commit(name)
            assert said.startswith("refused")
            assert why in said
        told.fail("")
        assert told.commit("d") == "ok 2"
    assert names(tmp_path / "disk" / "shim.db") == ["a", "d"]


async def test_a_database_locked_by_another_program_refuses_and_then_recovers(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "p", timeout=0.2) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RecordUnavailable, match="another program holds the database"):
            await store.commit(Add("refused"))
        other.execute("ROLLBACK")
        other.close()
        assert await store.commit(Add("after")) == 1
    assert names(path) == ["after"]


async def test_a_lock_that_is_let_go_in_time_costs_only_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "p", timeout=20) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.commit(Add("a")))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        other.execute("ROLLBACK")
        other.close()
        assert await waiting == 1


@pytest.mark.parametrize("name", ["shim.db", "shim.db-wal", "shim.lock"])
async def test_a_file_that_is_gone_refuses_until_it_is_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "p") as store:
        await store.commit(Add("a"))
        away = tmp_path / "away"
        (tmp_path / name).rename(away)
        with pytest.raises(RecordUnavailable, match="removed or replaced"):
            await store.commit(Add("b"))
        away.rename(tmp_path / name)
        assert await store.commit(Add("c")) == 2
    assert names(path) == ["a", "c"]


def moved_away(folder: Path) -> Path:
    away = folder / "away"
    away.mkdir()
    for file in [found for found in folder.iterdir() if found.is_file()]:
        file.rename(away / file.name)
    return away


async def test_closing_a_store_that_was_replaced_does_the_new_one_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "old") as old:
        await old.commit(Add("old"))
        away = moved_away(tmp_path)
        new = SqliteStore.open(path, "new")
        store = await new.__aenter__()
        await store.commit(Add("new"))
        with pytest.raises(RecordUnavailable, match="removed or replaced"):
            await old.commit(Add("lost"))
    assert sidecar(path, "-wal").stat().st_size > 0
    assert await store.commit(Add("newer")) == 2
    await new.__aexit__(None, None, None)
    assert names(path) == ["new", "newer"]
    assert names(away / "shim.db") == ["old"]
