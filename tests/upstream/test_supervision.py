"""Each upstream lives on its own: what is down, slow or mad stops neither the start nor the others."""

from __future__ import annotations

import asyncio
import time

import pytest

from shim.errors import UpstreamUnavailable
from shim.upstream import attendant, probe, reading
from shim.upstream.config import UpstreamBlock
from tests.upstream.support import running, stdio, text
from tests.upstream.web import Request, serving


async def test_one_that_hangs_or_fails_delays_no_other() -> None:
    blocks = {
        "hangs": stdio("hangs"),
        "exits": stdio("exits"),
        "circle": stdio("circle"),
        "bad-list": stdio("bad-list"),
        "old": stdio("old", era="legacy"),
        "missing": UpstreamBlock(command=("no-such-program",)),
        "fine": stdio(),
    }
    reasons = {
        "exits": "status 7",
        "circle": "in a circle",
        "bad-list": "a list of tools that is not one",
        "old": "no revision of MCP",
        "missing": "no-such-program was not found",
    }
    async with running(blocks, settled=False) as run:
        assert text(await run.call("fine", "echo", {})) == "{}"
        # The one that hangs has not given up yet: it has kept nobody waiting.
        assert run.upstreams.status()["hangs"].state == "connecting"
        await run.until(lambda: all(run.upstreams.status()[name].error for name in reasons), within=30)
        status = run.upstreams.status()

    assert list(status) == list(blocks)
    assert status["fine"].state == "up"
    for name, reason in reasons.items():
        assert reason in (status[name].error or ""), name


async def test_a_call_to_one_that_is_down_says_why_and_tries_once_more() -> None:
    async with running({"exits": stdio("exits")}) as run:
        began = time.monotonic()
        with pytest.raises(UpstreamUnavailable, match="status 7"):
            await run.call("exits", "echo")
        assert time.monotonic() - began < 5


async def test_one_that_comes_back_is_up_again_by_itself() -> None:
    async with serving("modern") as web:
        url = web.url
    async with running({"web": UpstreamBlock(url=url)}) as run:
        assert run.upstreams.status()["web"].state == "down"
        server = await asyncio.start_server(web.serve, "127.0.0.1", int(url.split(":")[2].split("/")[0]))
        async with server:
            assert text(await run.call("web", "echo", {})) == "{}"
            assert run.upstreams.status()["web"].state == "up"


async def test_a_flood_of_notices_of_change_is_not_a_flood_of_readings() -> None:
    async with running({"odd": stdio(era="legacy", isolation="shared")}) as run:
        await run.call("odd", "change", {"times": 5000})
        await run.until(lambda: len(run.offers) >= 2)
        assert text(await run.call("odd", "echo", {})) == "{}"
        assert len(run.offers) <= 3


async def test_a_silent_legacy_server_is_found_out_by_its_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_PROBE", 0.2)
    async with running({"odd": stdio("silent", era="legacy")}) as run:
        assert run.offer("odd").era == "legacy"
        assert text(await run.call("odd", "echo", {})) == "{}"


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_server_that_starts_slowly_is_still_taken_for_what_it_is(
    era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_PROBE", 0.2)
    async with running({"odd": stdio("slow-start", era=era)}) as run:
        assert run.offer("odd").era == era
        assert text(await run.call("odd", "echo", {})) == "{}"


async def test_a_forced_era_is_kept_to() -> None:
    async with running(
        {
            "right": stdio("silent", era="legacy").model_copy(update={"era": "2025-11-25"}),
            "wrong": stdio(era="legacy").model_copy(update={"era": "2026-07-28"}),
        }
    ) as run:
        assert run.upstreams.status()["right"].era == "legacy"
        assert run.upstreams.status()["wrong"].state == "down"


async def test_a_crash_of_the_catalogs_session_is_mended() -> None:
    async with serving("legacy") as web, running({"web": UpstreamBlock(url=web.url)}) as run:
        # when the standing stream of the shim's own session ends and the session is not known any more
        web.extra["GET"] = lambda request: request.respond(404)
        for standing in web.standing:
            standing.writer.close()
        await run.until(lambda: len(run.offers) >= 2, within=15)
        assert run.upstreams.status()["web"].state == "up"


async def test_every_page_is_read_and_definitions_are_untouched() -> None:
    odd = {"name": "odd", "inputSchema": {"type": "object", "big": 2**80, "null": None}, "x-unknown": [1.0, {}]}
    async with serving("modern") as web:
        web.definitions.append(odd)
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            (tool,) = [tool for tool in run.offer("web").tools if tool["name"] == "odd"]
    assert tool == odd
    assert list(tool) == list(odd)


async def test_a_catalog_that_grows_without_bound_is_given_up_and_the_last_one_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "_MAX_BYTES", 1_000_000)

    def endless(request: Request) -> None:
        tool = {"name": "t", "inputSchema": {"type": "object"}, "description": "x" * 300_000}
        request.result({"tools": [tool], "nextCursor": str(len(web.seen))})

    async with serving("modern") as web, running({"web": UpstreamBlock(url=web.url)}) as run:
        await web.until(lambda: web.standing)
        already = len(web.asked("tools/list"))
        web.extra["tools/list"] = endless
        web.standing[0].event({"method": "notifications/tools/list_changed", "params": {}})
        await web.until(lambda: run.upstreams.status()["web"].error)

        assert "more than 1000000 bytes" in (run.upstreams.status()["web"].error or "")
        assert len(web.asked("tools/list")) - already <= 8
        assert "echo" in [tool["name"] for tool in run.offer("web").tools]


async def test_a_catalog_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendant, "_READING", 0.4)

    async def drips(request: Request) -> None:
        await asyncio.sleep(0.1)
        request.result({"tools": [], "nextCursor": str(len(web.seen))})

    async with serving("modern") as web:
        web.extra["tools/list"] = drips
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            assert "all of its tools within 0.4 s" in (run.upstreams.status()["web"].error or "")


async def test_a_call_during_the_pause_after_a_failure_makes_the_next_attempt_come_at_once() -> None:
    # given an upstream that has failed so often that the pauses are long
    async with serving("modern") as web:
        web.extra["server/discover"] = lambda request: request.respond(503)
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            for _ in range(4):
                with pytest.raises(UpstreamUnavailable, match="HTTP status 503"):
                    await run.call("web", "echo")

            # when it works again, then the next call is answered, long before the pause would be over
            del web.extra["server/discover"]
            began = time.monotonic()
            assert text(await run.call("web", "echo", {})) == "{}"
            assert time.monotonic() - began < 2
