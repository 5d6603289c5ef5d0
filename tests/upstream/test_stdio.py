"""Calls over stdio, both eras: what passes, and how each misbehaviour ends without touching the other calls."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from shim.errors import OutcomeUnknown, ResultTooLarge, UpstreamFault, UpstreamTimeout, UpstreamUnavailable
from tests.upstream.support import LEGACY, MODERN, Heard, running, stdio, text

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])


@ERAS
async def test_the_era_is_found_and_the_catalog_read_with_all_its_pages(era: str) -> None:
    async with running({"odd": stdio(era=era)}) as run:
        offer = run.offer("odd")

        assert run.upstreams.status()["odd"].state == "up"
        assert (offer.era, offer.protocol) == (era, MODERN if era == "modern" else LEGACY)
        assert offer.server == {"name": "misbehaving", "version": "0"}
        assert len(offer.tools) > 20
        assert offer.tools[0] == {"name": "echo", "inputSchema": {"type": "object"}, "odd": None}
        assert offer.ttl == (60.0 if era == "modern" else None)


@ERAS
async def test_params_reach_the_tool_as_they_came_but_for_what_is_the_protocols(era: str) -> None:
    # given a caller's params with members of every sort
    meta = {
        "traceparent": "00-11111111111111111111111111111111-2222222222222222-01",
        "io.modelcontextprotocol/protocolVersion": "1999-01-01",
        "io.modelcontextprotocol/clientInfo": {"name": "liar"},
        "io.modelcontextprotocol/clientCapabilities": {"sampling": {}},
        "progressToken": "theirs",
    }
    extra = {"unknown": [1, None, 2**70], "inputResponses": {"k": 1}, "requestState": "s"}
    async with running({"odd": stdio(era=era)}) as run:
        # when it calls
        reply = await run.call("odd", "meta", {"b": 1, "a": None}, meta=meta, extra=extra)

    # then the upstream saw its own name for the tool, the shim's envelope, and all that is unknown
    seen = json.loads(text(reply))
    assert list(seen["arguments"].items()) == [("b", 1), ("a", None)]
    assert (seen["name"], seen["unknown"]) == ("meta", [1, None, 2**70])
    assert "inputResponses" not in seen
    assert "requestState" not in seen
    assert seen["_meta"]["traceparent"] == meta["traceparent"]
    assert type(seen["_meta"]["progressToken"]) is int
    if era == "modern":
        assert seen["_meta"]["io.modelcontextprotocol/protocolVersion"] == MODERN
        assert seen["_meta"]["io.modelcontextprotocol/clientInfo"] == {"name": "shim-under-test", "version": "1.2.3"}
        assert seen["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {}
    else:
        assert seen["_meta"].keys() == {"traceparent", "progressToken"}


async def test_results_and_errors_come_back_untouched() -> None:
    line = (
        '{"result":{"z":null,"content":[{"type":"hologram","n":123456789012345678901234567890,"f":1.50}],"a":{}},'
        '"jsonrpc":"2.0","id":$ID}'
    )
    async with running({"odd": stdio()}) as run:
        reply = await run.call("odd", "raw", {"line": line})
        failed = await run.call("odd", "fails")

    assert reply.result is not None
    assert list(reply.result) == ["z", "content", "a"]
    assert reply.result["content"][0]["n"] == 123456789012345678901234567890
    assert reply.size == len(line) - 3 + 1
    assert failed.error == {"code": -32000, "message": "no", "data": {"x": None}}


@ERAS
async def test_a_slow_call_does_not_hold_up_another_of_the_same_session(era: str) -> None:
    async with running({"odd": stdio(era=era, isolation="shared")}) as run:
        slow = asyncio.create_task(run.call("odd", "slow", {"seconds": 1.0}))
        began = time.monotonic()
        for n in range(20):
            assert json.loads(text(await run.call("odd", "echo", {"n": n}))) == {"n": n}

        assert time.monotonic() - began < 0.9
        assert not slow.done()
        assert text(await slow) == "slow"


@pytest.mark.parametrize(
    ("tool", "fault"),
    [
        ("garbage", UpstreamFault),
        ("scalar", UpstreamFault),
        ("no-result", UpstreamFault),
        ("bad-error", UpstreamFault),
        ("input", UpstreamFault),
        ("dies", OutcomeUnknown),
        ("never", UpstreamTimeout),
        ("other-id", UpstreamTimeout),
    ],
)
async def test_what_is_no_answer_fails_that_call_alone(tool: str, fault: type[Exception]) -> None:
    # given a call of somebody else in the same session (and in a process of its own when this one will die)
    async with running({"odd": stdio(isolation="shared" if tool != "dies" else "identity", timeout="1s")}) as run:
        other = asyncio.create_task(run.call("odd", "slow", {"seconds": 0.5}, identity="bob"))
        with pytest.raises(fault) as caught:
            await run.call("odd", tool)

        # then the reason is one sentence that names the upstream, and the other call has its answer
        assert "odd" in str(caught.value)
        assert text(await other) == "slow"
        assert text(await run.call("odd", "echo", {})) == "{}"


async def test_a_second_answer_and_lines_that_are_no_messages_are_ignored() -> None:
    async with running({"odd": stdio("noisy", isolation="shared")}) as run:
        assert text(await run.call("odd", "twice")) == "first"
        assert text(await run.call("odd", "bytes")) == "after bytes"
        assert text(await run.call("odd", "echo", {})) == "{}"


async def test_an_answer_of_100_megabytes_is_cut_and_the_others_go_on() -> None:
    async with running({"odd": stdio(isolation="shared", max_result="1MiB")}) as run:
        other = asyncio.create_task(run.call("odd", "slow", {"seconds": 0.2}))
        with pytest.raises(ResultTooLarge, match="1048576 bytes"):
            await run.call("odd", "huge", {"size": 100_000_000})

        assert text(await other) == "slow"
        assert text(await run.call("odd", "echo", {})) == "{}"


async def test_a_process_that_dies_is_started_again_for_the_next_call() -> None:
    async with running({"odd": stdio()}) as run:
        first = asyncio.gather(*(run.call("odd", "slow", {"seconds": 5}) for _ in range(3)), return_exceptions=True)
        await asyncio.sleep(0)
        with pytest.raises(OutcomeUnknown, match="not sent again"):
            await run.call("odd", "dies")

        assert [type(outcome) for outcome in await first] == [OutcomeUnknown] * 3
        assert text(await run.call("odd", "echo", {})) == "{}"


@ERAS
async def test_a_call_that_is_cancelled_or_late_is_cancelled_upstream(era: str) -> None:
    async with running({"odd": stdio(era=era, isolation="shared", timeout="1s")}) as run:
        task = asyncio.create_task(run.call("odd", "never"))
        await run.call("odd", "echo")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(UpstreamTimeout, match="within 1 s"):
            await run.call("odd", "never")

        assert len(json.loads(text(await run.call("odd", "never", {"report": True})).replace("'", '"'))) == 2


async def test_progress_is_heard_and_starts_the_timeout_anew() -> None:
    heard = Heard()
    async with running({"odd": stdio(timeout="500ms")}) as run:
        arguments = {"times": 5, "every": 0.2}
        reply = await run.call("odd", "progress", arguments, meta={"progressToken": "mine"}, heard=heard)

    assert text(reply) == "progressed"
    assert [params["progress"] for params in heard.progressed] == [0, 1, 2, 3, 4]
    assert heard.progressed[0]["extra"] is None


async def test_progress_without_end_is_still_bounded() -> None:
    # A session has to open within one such time as well, on a busy machine too.
    async with running({"odd": stdio(timeout="500ms")}) as run:
        began = time.monotonic()
        arguments = {"times": 1000, "every": 0.1, "silent": True}
        with pytest.raises(UpstreamTimeout):
            await run.call("odd", "progress", arguments, meta={"progressToken": 1})

        # Ten times the timeout, and long before the upstream would have come to an end.
        assert 4.9 < time.monotonic() - began < 60


async def test_a_listener_that_is_slow_delays_nobody_else() -> None:
    class Stuck(Heard):
        async def progress(self, params: dict[str, object]) -> None:
            await asyncio.Event().wait()

    async with running({"odd": stdio(isolation="shared", timeout="1s")}) as run:
        stuck = asyncio.create_task(run.call("odd", "progress", meta={"progressToken": 1}, heard=Stuck()))
        for _ in range(10):
            assert text(await run.call("odd", "echo", {})) == "{}"

        # The answer is there all the same: it is not withheld when its listener does not take the notices.
        assert text(await stuck) == "progressed"


@pytest.mark.parametrize(
    "method", ["notifications/message", "notifications/progress", "notifications/strange", "ping/x"]
)
async def test_a_flood_of_notices_is_bounded(method: str) -> None:
    heard = Heard()
    async with running({"odd": stdio(isolation="shared")}) as run:
        arguments = {"method": method, "times": 12_000}
        flood = asyncio.create_task(
            run.call("odd", "floods", arguments, meta={"io.modelcontextprotocol/logLevel": "debug"}, heard=heard)
        )
        assert text(await run.call("odd", "echo", {})) == "{}"
        assert text(await flood) == "flooded"

    assert len(heard.logged) < 2000


async def test_a_child_that_no_longer_reads_does_not_hang_the_shim() -> None:
    async with running({"odd": stdio(isolation="shared", timeout="2s")}) as run:
        assert text(await run.call("odd", "deaf")) == "deaf from now on"
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(run.call("odd", "echo", {"big": "x" * 300_000}) for _ in range(10)), return_exceptions=True
        )

        assert {type(outcome) for outcome in outcomes} <= {UpstreamTimeout, UpstreamUnavailable, OutcomeUnknown}
        assert time.monotonic() - began < 6


async def test_a_child_that_closes_its_stdin_is_replaced_and_not_waited_for() -> None:
    # given a child that goes on living for a minute
    async with running({"odd": stdio(isolation="shared", timeout="5s")}) as run:
        assert text(await run.call("odd", "quits-stdin")) == "closed"
        began = time.monotonic()

        # when it is called, then another process answers
        assert text(await run.call("odd", "echo", {})) == "{}"
        assert time.monotonic() - began < 5


@ERAS
async def test_what_an_upstream_asks_is_refused_and_reported(era: str) -> None:
    async with running({"odd": stdio(era=era)}) as run:
        reply = await run.call("odd", "asks", {"method": "sampling/createMessage"})
        await run.until(lambda: bool(run.events))

    body = {"upstream": "odd", "method": "sampling/createMessage"}
    assert run.events == [("upstream.refused", body, "inv-asks")]
    # A modern upstream may not ask at all, so that there is nobody to answer.
    assert json.loads(text(reply)) == ([-32601] if era == "legacy" else [])


async def test_a_ping_is_answered_and_is_nothing_to_report() -> None:
    async with running({"odd": stdio(era="legacy")}) as run:
        assert json.loads(text(await run.call("odd", "asks", {"method": "ping"}))) == [{}]
    assert run.events == []


@ERAS
async def test_log_messages_reach_the_call_that_wants_them(era: str) -> None:
    wants, silent = Heard(), Heard()
    level = {"io.modelcontextprotocol/logLevel": "warning"}
    async with running({"odd": stdio(era=era)}) as run:
        reply = await run.call("odd", "log", meta=level, heard=wants)
        await run.call("odd", "log", heard=silent)

    assert [message["level"] for message in wants.logged] == ["warning"]
    assert silent.logged == []
    # Over a legacy session the level is set once for all, as low as anybody asked for.
    assert text(reply) == ("warning" if era == "legacy" else "None")


async def test_the_environment_is_what_is_configured_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIM_SECRET", "do not tell")
    block = stdio(env={"TZ": "UTC", "LANG": "C"}, cwd=str(tmp_path))
    async with running({"odd": block}) as run:
        seen = json.loads(text(await run.call("odd", "env")))

    assert seen["env"].pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # Python sets this one for itself
    assert seen["env"].keys() - {"_", "PWD", "SHLVL"} <= {"PATH", "HOME", "LANG", "TZ"}
    assert (seen["env"]["TZ"], seen["env"]["LANG"]) == ("UTC", "C")
    assert seen["env"]["PATH"] == os.environ["PATH"]
    assert seen["cwd"] == str(tmp_path)
    assert seen["argv"] == ["modern"]


async def test_stderr_goes_to_a_log_of_the_upstreams_name_escaped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with running({"odd": stdio("exits")}) as run:
        assert run.upstreams.status()["odd"].state == "down"

    lines = [record.getMessage() for record in caplog.records if record.name == "shim.upstream.odd"]
    assert "cannot start: no\\u202e key" in lines
    assert 'The upstream odd is not available: its process ended with status 7: "cannot start: no\\u202e key".' in lines
