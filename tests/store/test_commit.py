"""Units of work: wholly or not at all, each for itself, and never behind their waiter's back."""

from __future__ import annotations

import asyncio
import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shim.errors import RecordUnavailable
from shim.store.files import beside
from shim.store.sqlite import SqliteStore
from tests.store.units import Add, AddThenFail, AddTwice, NotShown, names


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another holder of the store's lock, which does not let go by itself."""
    with beside(path, ".lock").open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def test_what_is_committed_is_on_the_chain_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "shim.db"
    async with SqliteStore.open(path, "p") as store:
        seqs = await asyncio.gather(*(store.commit(Add(str(number))) for number in range(100)))
        assert seqs == list(range(1, 101))
        assert store.head_seq == 100
        assert names(path) == [str(number) for number in range(100)]
    async with SqliteStore.open(path, "q") as store:
        assert await store.commit(Add("later")) == 101
    assert names(path)[-1] == "later"


async def test_a_unit_that_raises_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "p") as store:
        given = (Add("a"), AddThenFail("b"), Add("c"), AddTwice("d"), Add("e"))
        results = await asyncio.gather(*(store.commit(unit) for unit in given), return_exceptions=True)
        assert results[0::2] == [1, 2, 3]
        assert isinstance(results[1], LookupError)
        assert isinstance(results[3], Exception)
        assert await store.commit(NotShown("b"))
    assert names(path) == ["a", "c", "e"]


async def test_a_unit_that_timed_out_is_never_committed_later(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "p", timeout=0.2) as store:
        with held(path):
            refused = await asyncio.gather(
                *(store.commit(Add(f"late-{number}")) for number in range(3)), return_exceptions=True
            )
        assert [type(error) for error in refused] == [RecordUnavailable] * 3
        assert "another process holds the lock" in str(refused[0])
        assert await store.commit(Add("after")) == 1
    assert names(path) == ["after"]


async def test_a_cancelled_waiter_takes_its_unit_back_and_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "p") as store:
        with held(path):
            waiting = [asyncio.create_task(store.commit(Add(f"cancelled-{number}"))) for number in range(5)]
            kept = asyncio.create_task(store.commit(Add("kept")))
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
            assert all(
                isinstance(e, asyncio.CancelledError) for e in await asyncio.gather(*waiting, return_exceptions=True)
            )
        assert await kept == 1
    assert names(path) == ["kept"]


async def test_cancelling_at_any_instant_keeps_a_unit_wholly_or_not(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "p") as store:
        acknowledged: list[str] = []

        async def one(name: str) -> None:
            await store.commit(Add(name))
            acknowledged.append(name)

        for number in range(150):
            task = asyncio.create_task(one(str(number)))
            for _ in range(number % 15):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await store.commit(Add("end"))
    found = names(path)
    assert set(acknowledged) <= set(found)
    assert len(set(found)) == len(found)


async def test_what_waits_when_the_store_closes_is_committed_first(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "p") as store:
        waiting = [asyncio.create_task(store.commit(Add(str(number)))) for number in range(20)]
        await asyncio.sleep(0)
    assert [await task for task in waiting] == list(range(1, 21))
    with pytest.raises(RecordUnavailable, match="closed"):
        await store.commit(Add("late"))


async def test_cancelling_the_block_that_holds_the_store_still_closes_it(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    opened = asyncio.Event()

    async def serve() -> None:
        async with SqliteStore.open(path, "p") as store:
            opened.set()
            try:
                await asyncio.Event().wait()
            finally:
                await store.commit(Add("last"))

    task = asyncio.create_task(serve())
    await opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(path) == ["last"]


async def test_a_stopped_holder_of_the_lock_refuses_calls_but_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    hold = (
        "import fcntl, os, signal, sys; f = open(sys.argv[1], 'rb+'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    async with SqliteStore.open(path, "p", timeout=0.3) as store:
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", hold, str(beside(path, ".lock")), stdout=subprocess.PIPE
        )
        try:
            assert holder.stdout is not None
            await holder.stdout.readline()
            with pytest.raises(RecordUnavailable):
                await store.commit(Add("refused"))
            assert await store.trouble() is not None
        finally:
            holder.kill()
            await holder.wait()
        assert await store.commit(Add("after")) == 1
        assert await store.trouble() is None
    assert names(path) == ["after"]
