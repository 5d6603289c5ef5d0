"""What one upstream pours out delays no other: whatever it consists of, it is read slowly."""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest

from shim.errors import Refusal
from shim.upstream.config import UpstreamBlock
from shim.upstream.pace import Pace
from tests.upstream.support import Running, running, stdio, text
from tests.upstream.web import Request, serving

SECONDS = 0.7
FEW_TENS = 0.05

BRACKETS = '{"jsonrpc":"2.0","method":"x","params":"' + "[" * 900_000 + '"}\n'


async def innocents(run: Running, flood: asyncio.Task[object]) -> float:
    """The median of another upstream's calls while the flood lasts, in seconds."""
    took: list[float] = []
    while not flood.done():
        began = time.perf_counter()
        assert text(await run.call("good", "echo", {})) == "{}"
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.01)
    return statistics.median(took)


@pytest.mark.parametrize(
    ("unit", "stderr"),
    [("\n", True), ("an error\n", True), ("\n", False), ("x\n", False), (BRACKETS, False)],
    ids=["empty stderr", "stderr", "empty lines", "garbage", "costly lines"],
)
async def test_a_child_that_pours_delays_no_other(unit: str, stderr: bool) -> None:
    async with running({"bad": stdio(timeout="1s"), "good": stdio(isolation="shared")}) as run:
        await asyncio.gather(run.call("bad", "echo"), run.call("good", "echo"))
        arguments = {"unit": unit, "stderr": stderr, "seconds": SECONDS}
        flood: asyncio.Task[object] = asyncio.create_task(run.call("bad", "pours", arguments))

        assert await innocents(run, flood) < FEW_TENS
        await asyncio.gather(flood, return_exceptions=True)


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        ("text/event-stream", b"\n"),
        ("text/event-stream", b":\n"),
        ("text/event-stream", b"event: x\ndata: y\n\n"),
        ("text/event-stream", b"data: 1\n\n"),
        ("application/json", b"1\r\n \r\n"),
    ],
    ids=["empty lines", "comments", "other events", "garbage", "tiny chunks"],
)
async def test_a_response_that_pours_delays_no_other(kind: str, unit: bytes) -> None:
    async def pours(request: Request) -> None:
        tiny, loop = kind == "application/json", asyncio.get_running_loop()
        request.write(b"HTTP/1.1 200 X\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n" % kind.encode())
        block = unit * (65536 // len(unit))
        end = loop.time() + SECONDS
        while loop.time() < end:
            request.write(block) if tiny else request.chunk(block)
            await request.writer.drain()
            await asyncio.sleep(0)
        request.writer.close()

    async with serving("modern", pours=pours) as web:
        blocks = {"bad": UpstreamBlock(url=web.url, timeout=1.0), "good": stdio(isolation="shared")}
        async with running(blocks) as run:
            await asyncio.gather(run.call("bad", "echo"), run.call("good", "echo"))
            flood: asyncio.Task[object] = asyncio.create_task(run.call("bad", "pours"))

            assert await innocents(run, flood) < FEW_TENS
            # It was read too slowly to end well, which is its own affair.
            assert isinstance((await asyncio.gather(flood, return_exceptions=True))[0], Refusal)


def test_an_account_allows_a_burst_and_then_a_fifth() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    assert pace.charge(0.25) == 0
    assert pace.charge(0.1) == pytest.approx(0.5)
    now = 0.5
    assert pace.charge(0) == pytest.approx(0)
    assert pace.charge(0.002) == pytest.approx(0.01)
    now = 1000.0
    assert pace.charge(0.25) == pytest.approx(0)
