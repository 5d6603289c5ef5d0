"""What one call costs: `python -m tests.upstream.measure`. Processor time of this process, the upstream in another."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import sys
import time

import uvloop

from shim.upstream.config import UpstreamBlock
from tests.upstream.support import Running, running, stdio
from tests.upstream.web import Request, serving

CALLS, CALLERS = 3000, 32


def streamed(request: Request) -> None:
    request.open_stream()
    request.event({"id": request.id, "result": {"content": [{"type": "text", "text": "hello"}]}})
    request.close_stream()


def serve(era: str, link: multiprocessing.connection.Connection) -> None:
    async def main() -> None:
        async with serving(era, streamed=streamed) as web:
            link.send(web.url)
            await asyncio.Event().wait()

    uvloop.run(main())


async def measure(label: str, run: Running, tool: str) -> None:
    upstream = "one"

    async def caller(calls: int) -> None:
        for _ in range(calls):
            await run.call(upstream, tool, {"text": "hello"})

    await caller(100)
    for callers in (1, CALLERS):
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(caller(CALLS // callers) for _ in range(callers)))
        calls = CALLS // callers * callers
        cpu, wall = (time.process_time() - cpu) / calls * 1e3, (time.perf_counter() - wall) / calls * 1e3
        print(f"{label:24} {callers:3} callers   {cpu:.3f} ms of processor a call, {1000 / wall:6.0f} calls/s")


async def main() -> None:
    for era in ("modern", "legacy"):
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(era, there), daemon=True)
        process.start()
        url = await asyncio.to_thread(here.recv)
        async with running({"one": UpstreamBlock(url=url)}) as run:
            await measure(f"{era} HTTP, JSON", run, "echo")
            await measure(f"{era} HTTP, event stream", run, "streamed")
        process.kill()
        async with running({"one": stdio(era=era, isolation="shared")}) as run:
            await measure(f"{era} stdio", run, "echo")


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
