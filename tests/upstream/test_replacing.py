"""Upstreams take the place of others: what stays runs on, what goes ends with its last call."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from shim.errors import UpstreamUnavailable
from shim.lending import Leased
from shim.model import Call, Caller, Credential, Identity, Resource
from shim.server.watched import Watched
from shim.upstream.config import UpstreamBlock
from shim.upstream.supervisor import Upstreams
from tests.upstream.support import LEGACY, Running, running, stdio, text
from tests.upstream.test_ending import gone
from tests.upstream.test_pool import pid_of
from tests.upstream.web import Request, serving


def replace(run: Running, blocks: dict[str, UpstreamBlock]) -> Upstreams:
    """Put others in place; those before."""
    before = run.upstreams
    run.upstreams = before.replace(blocks, run.broker)
    return before


async def test_what_is_configured_as_before_keeps_its_process() -> None:
    block = stdio()
    async with running({"odd": block}) as run:
        pid = await pid_of(run, "alice")
        for other in (block, block.model_copy(update={"prefix": "", "required": True})):
            replace(run, {"more": stdio(), "odd": other})
            assert await pid_of(run, "alice") == pid
            assert list(run.upstreams.status()) == ["more", "odd"]
        # and what is configured otherwise does not
        replace(run, {"odd": block.model_copy(update={"env": {"A": "b"}})})
        assert await pid_of(run, "alice") != pid
        assert await gone([pid]) == []


async def test_a_running_call_keeps_its_process_and_an_idle_one_ends() -> None:
    async with running({"odd": stdio()}) as run:
        busy, idle = await pid_of(run, "alice"), await pid_of(run, "bob")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run.call("odd", "slow", {"seconds": 1}))
            await asyncio.sleep(0)
            replace(run, {})
            assert await gone([idle]) == []
            assert not task.done()
        assert text(task.result()) == "slow"
        assert await gone([busy]) == []
        with pytest.raises(UpstreamUnavailable, match="not configured"):
            await run.call("odd", "echo")


async def test_who_began_before_still_reaches_what_is_gone_and_it_ends_again() -> None:
    async with running({"odd": stdio()}) as run:
        pid = await pid_of(run, "alice")
        before = replace(run, {})
        assert await gone([pid]) == []
        # when a request that was decided before only now gets to its call
        run.upstreams = before
        late = await pid_of(run, "alice")
        assert await gone([late]) == []


async def test_who_subscribes_at_what_is_gone_is_told_so() -> None:
    caller = Caller(Credential(Identity("alice"), "token"), "http", LEGACY)
    began, uri = datetime(2026, 8, 1, tzinfo=UTC), "x:1"
    call = Call("inv", caller, "run", "resources/subscribe", f"resource:odd/{uri}", "odd", {"uri": uri}, began, "p")
    async with running({"odd": stdio()}) as run:
        pid = await pid_of(run, "alice")
        before = replace(run, {})
        assert await gone([pid]) == []
        with pytest.raises(UpstreamUnavailable, match="configured no more"):
            await before.call(call, Resource("odd", uri, uri, {}, "d"), {"uri": uri}, Watched(), Leased())


async def test_who_waits_for_a_first_attempt_does_not_wait_for_one_that_will_not_come() -> None:
    async with running({"hangs": stdio("hangs")}, settled=False) as run:
        before = run.upstreams
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(before.settled())
            await asyncio.sleep(0)
            replace(run, {})


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_over_http_the_call_is_answered_and_the_session_said_goodbye_to(era: str) -> None:
    go_on = asyncio.Event()

    async def waits(request: Request) -> None:
        await go_on.wait()
        request.say("late")

    async with serving(era) as web, running({"web": UpstreamBlock(url=web.url)}) as run:
        web.tools["echo"] = waits
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run.call("web", "echo", {}))
            await web.until(lambda: web.asked("tools/call"))
            replace(run, {})
            go_on.set()
        assert text(task.result()) == "late"
        if era == "legacy":
            await web.until(lambda: sum(request.method == "DELETE" for request in web.seen) == 2)


async def test_many_in_a_row_leave_nothing_behind() -> None:
    one, other = stdio(), stdio(env={"A": "b"})
    async with running({"odd": one}) as run:
        pids = [await pid_of(run, "alice")]
        for block in (other, one) * 5:
            replace(run, {"odd": block})
            pids.append(await pid_of(run, "alice"))
        assert len(set(pids)) == len(pids)
        assert await gone(pids[:-1]) == []
    assert await gone(pids) == []
