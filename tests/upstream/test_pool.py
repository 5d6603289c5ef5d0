"""Who shares a session: one for each identity or one for all, capped, fair, ended when idle."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import pytest

from shim.errors import UpstreamUnavailable
from shim.upstream.config import UpstreamBlock
from shim.upstream.pool import Key, Pool
from shim.upstream.session import Opened
from tests.upstream.support import Running, running, stdio, text
from tests.upstream.test_ending import gone
from tests.upstream.web import Request, serving


async def pid_of(run: Running, identity: str) -> int:
    pid: int = json.loads(text(await run.call("odd", "children", identity=identity)))[0]
    return pid


async def test_each_identity_has_a_process_of_its_own() -> None:
    async with running({"odd": stdio()}) as run:
        first, again, other = [await pid_of(run, identity) for identity in ("alice", "alice", "bob")]
    assert first == again
    assert first != other


async def test_shared_means_one_process_for_all() -> None:
    async with running({"odd": stdio(isolation="shared")}) as run:
        assert len({await pid_of(run, identity) for identity in ("alice", "bob", "carol")}) == 1


async def test_callers_that_come_at_once_share_one_opening() -> None:
    async with running({"odd": stdio()}) as run:
        assert len(set(await asyncio.gather(*(pid_of(run, "alice") for _ in range(5))))) == 1


async def test_at_the_cap_the_longest_idle_makes_room_and_the_busy_are_waited_for() -> None:
    async with running({"odd": stdio(pool={"max": 2})}) as run:
        alice, bob = await pid_of(run, "alice"), await pid_of(run, "bob")
        assert await pid_of(run, "bob") == bob

        # when a third comes, then alice, idle for longest, has made room
        await pid_of(run, "carol")
        assert await gone([alice]) == []
        assert await pid_of(run, "bob") == bob

        # when both are busy, then the fourth waits until one is not
        busy = [
            asyncio.create_task(run.call("odd", "slow", {"seconds": 0.5}, identity=who)) for who in ("bob", "carol")
        ]
        await asyncio.sleep(0)
        assert text(await run.call("odd", "echo", {}, identity="dave")) == "{}"
        assert any(task.done() for task in busy)
        await asyncio.gather(*busy)


async def test_waiting_for_a_session_is_bounded_and_nothing_is_sent() -> None:
    async with running({"odd": stdio(pool={"max": 1}, timeout="1s")}) as run:
        busy = asyncio.create_task(
            run.call("odd", "progress", {"every": 0.5, "times": 6}, meta={"progressToken": 1}, identity="alice")
        )
        await run.call("odd", "echo", identity="alice")
        with pytest.raises(UpstreamUnavailable, match="all of its 1 sessions are in use"):
            await run.call("odd", "echo", identity="bob")
        await busy


async def test_waiting_for_a_session_to_open_is_bounded_and_it_opens_all_the_same() -> None:
    gate = asyncio.Event()
    async with serving("legacy") as web:

        async def late(request: Request) -> None:
            await gate.wait()
            web.on_initialize(request)

        block = UpstreamBlock.model_validate({"url": web.url, "timeout": "300ms"})
        async with running({"web": block}) as run:
            web.extra["initialize"] = late
            began = time.monotonic()
            with pytest.raises(UpstreamUnavailable, match=r"did not open within 0\.3 s"):
                await run.call("web", "echo")
            assert time.monotonic() - began < 2
            assert web.asked("tools/call") == []

            # when the upstream wakes up, then the session that was being opened serves the next call
            gate.set()
            assert text(await run.call("web", "echo", {})) == "{}"
            assert len(web.asked("initialize")) == 2


async def test_an_idle_session_ends_and_comes_back() -> None:
    async with running({"odd": stdio(pool={"idle": "200ms"})}) as run:
        first = await pid_of(run, "alice")
        assert await gone([first], within=8) == []
        assert await pid_of(run, "alice") != first


async def test_a_caller_that_leaves_while_its_session_opens_harms_nobody() -> None:
    async with running({"odd": stdio()}) as run:
        leaving = asyncio.create_task(run.call("odd", "echo", identity="alice"))
        staying = asyncio.create_task(run.call("odd", "echo", {}, identity="alice"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        leaving.cancel()
        assert text(await staying) == "{}"


async def test_calls_that_overlap_keep_no_session_from_others() -> None:
    async with running({"odd": stdio(pool={"max": 1}, timeout="8s")}) as run:
        served = asyncio.Event()

        async def keeps_calling() -> None:
            while not served.is_set():
                await run.call("odd", "slow", {"seconds": 0.05}, identity="alice")

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(keeps_calling())
            await run.call("odd", "slow", {"seconds": 0.02}, identity="alice")
            # when another comes while the one session is never idle, then it has its turn
            assert text(await run.call("odd", "echo", {}, identity="bob")) == "{}"
            served.set()


async def test_a_long_call_holds_up_others_of_its_identity_for_a_moment_alone() -> None:
    async with running({"odd": stdio(pool={"max": 1}, timeout="8s")}) as run:
        long = asyncio.create_task(run.call("odd", "slow", {"seconds": 2}, identity="alice"))
        await run.call("odd", "slow", {"seconds": 0}, identity="alice")
        waits = asyncio.create_task(run.call("odd", "echo", {}, identity="bob"))
        await asyncio.sleep(0)
        began = time.monotonic()
        await run.call("odd", "slow", {"seconds": 0}, identity="alice")
        assert time.monotonic() - began < 1.8
        assert not long.done()
        assert text(await waits) == "{}"
        await long


async def all_are_served(identities: int, most: int, calls: int) -> None:
    async with running({"odd": stdio(pool={"max": most}, timeout="55s")}) as run:

        async def client(name: str) -> list[str]:
            arguments = {"who": name}
            return [text(await run.call("odd", "echo", arguments, identity=name)) for _ in range(calls)]

        answers = await asyncio.gather(*(client(f"agent-{number}") for number in range(identities)))
    assert answers == [[json.dumps({"who": f"agent-{number}"})] * calls for number in range(identities)]


async def test_more_identities_than_sessions_are_all_served() -> None:
    await all_are_served(12, 3, 3)


@pytest.mark.soak
async def test_a_hundred_identities_are_all_served() -> None:
    await all_are_served(100, 16, 5)


class Lent:
    """What the pool needs to know of a session."""

    def __init__(self) -> None:
        self.alive = True

    async def close(self) -> None:
        self.alive = False


async def lent() -> Opened:
    return cast(Opened, Lent())


@asynccontextmanager
async def pool_of(limit: int, *, idle: float = 60, patience: float = 5) -> AsyncIterator[Pool]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:

        def spawn(run: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
            group.create_task(run(*arguments))

        pool = Pool("up", spawn, limit=limit, idle=idle, patience=patience)
        tending = group.create_task(pool.tend())
        yield pool
        tending.cancel()


async def test_a_session_that_is_held_outlives_idleness_and_gives_way_to_a_call() -> None:
    async with pool_of(1, idle=0.01) as pool, pool.hold(Key("alice"), lent) as held:
        # given that it would have ended for idleness several times over
        await asyncio.sleep(0.3)
        assert [held.alive] == [True]
        async with pool.session(Key("alice"), lent) as same:
            assert same is held
        # when another has a call and there is no other place
        async with pool.session(Key("bob"), lent) as other:
            assert other is not held
            assert [held.alive] == [False]


@pytest.mark.parametrize(("limit", "share"), [(5, 2), (2, 1)])
async def test_sessions_that_one_has_alone_are_half_of_all_at_most(limit: int, share: int) -> None:
    # `isolation: shared` has one key for all: the share is of whose calls they are.
    for owner in ("alice", ""):
        async with pool_of(limit, patience=0.2) as pool, AsyncExitStack() as asked, AsyncExitStack() as others:
            for _ in range(share):
                await asked.enter_async_context(pool.session(Key(owner, b"", "asks"), lent, alone="alice"))
            # when one has as many calls that wait for a person as may be, whatever else differs between them
            with pytest.raises(UpstreamUnavailable, match=f"all of the {share} sessions that one caller may have"):
                await others.enter_async_context(pool.session(Key(owner, b"other", "asks"), lent, alone="alice"))
            # then another one is served, also while that one waits for its turn
            waits = asyncio.create_task(others.enter_async_context(pool.session(Key(owner), lent, alone="alice")))
            await asyncio.sleep(0)
            await others.enter_async_context(pool.session(Key(owner or "bob", b"", "asks"), lent, alone="bob"))
            assert not waits.done()
            # when one of its calls ends, then the next one of its own has its place
            await asked.aclose()
            await waits
