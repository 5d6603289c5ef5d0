"""Every answer is that of its own call, however many run, are cancelled and share connections."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from shim.upstream.config import UpstreamBlock
from tests.upstream.support import running, stdio, text
from tests.upstream.web import Request, serving

CALLS = 300


async def wavering(request: Request) -> None:
    """Answer as JSON or as a stream, at once or later, and sometimes end the connection after it."""
    n = request.params["arguments"]["n"]
    await asyncio.sleep(n % 7 / 1000)
    answer = {"content": [{"type": "text", "text": json.dumps({"n": n})}]}
    if n % 3 == 0:
        request.result(answer)
        return
    request.open_stream()
    request.event({"method": "notifications/progress", "params": {"progressToken": 1, "progress": n}})
    await asyncio.sleep(n % 5 / 1000)
    request.event({"id": request.id, "result": answer})
    if n % 4 == 0:
        request.writer.close()
    else:
        request.close_stream()


@pytest.mark.parametrize("kind", ["modern http", "legacy http", "modern stdio", "legacy stdio"])
async def test_answers_do_not_get_mixed_up(kind: str) -> None:
    era, _, carrier = kind.partition(" ")
    async with serving(era, wavering=wavering) as web:
        block = UpstreamBlock(url=web.url) if carrier == "http" else stdio(era=era)
        tool = "wavering" if carrier == "http" else "echo"
        chance = random.Random(7)
        gate = asyncio.Semaphore(32)
        async with running({"one": block}) as run:

            async def call(n: int) -> int:
                async with gate:
                    reply = await run.call("one", tool, {"n": n}, identity=f"agent-{n % 3}")
                    answered: int = json.loads(text(reply))["n"]
                    return answered

            tasks = [asyncio.create_task(call(n)) for n in range(CALLS)]
            cancelled = set(chance.sample(range(CALLS), CALLS // 5))

            async def cancel(n: int) -> None:
                await asyncio.sleep(chance.random() / 5)
                tasks[n].cancel()

            await asyncio.gather(*(cancel(n) for n in cancelled))
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)

        for n, outcome in enumerate(outcomes):
            assert outcome == n or (n in cancelled and isinstance(outcome, asyncio.CancelledError))
        if carrier == "http":
            sent = [request.params["arguments"]["n"] for request in web.asked("tools/call")]
            assert len(sent) == len(set(sent))
