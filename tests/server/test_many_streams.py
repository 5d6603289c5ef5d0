"""Many streams at once: each hears of every change that its owner can see, and of no other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import anyio
import httpx2
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from shim.model import Call, JsonObject, Listener, Reply
from tests.server.cutting import cutting
from tests.server.doubles import Tokens, offer, tool, world
from tests.server.listening import Stream, getting, listening
from tests.server.running import Raw, client, serving

CHANGED = "notifications/tools/list_changed"
IDENTITIES = 20
"""Each has a tool of its own beside the one that all have; streams are shared out among them."""


async def every_stream_hears_its_own(count: int) -> None:
    names = [f"agent{number}" for number in range(IDENTITIES)]
    own = {name: f"own-{name}" for name in names}
    made = world([tool("all"), *map(tool, own.values())], {name: {"up/all", f"up/{own[name]}"} for name in names})

    def learn(versions: dict[str, int]) -> None:
        made.catalog.learn(offer(tool(name, title=str(versions.get(name, 0))) for name in ("all", *own.values())))

    learn({})
    async with serving(made, tokens=Tokens(*names), max_sessions=count + 1) as served, client() as http:
        async with AsyncExitStack() as stack:
            streams: list[tuple[str, Stream]] = []
            for number in range(count):
                name = names[number % IDENTITIES]
                session = await Raw(served, http, name.upper()).open()
                legacy = await stack.enter_async_context(getting(served, session))
                modern = await stack.enter_async_context(listening(served, name.upper()))
                streams += [(name, legacy), (name, modern)]
            for _, stream in streams:
                await stream.until(1)

            # when what all see changes, and then what some see, one after the other
            learn({"all": 1})
            for _, stream in streams:
                await stream.until(2)
            versions = {"all": 1}
            for name in names[::2]:
                versions[own[name]] = 1
                learn(versions)
            for name, stream in streams:
                await stream.until(3 if name in names[::2] else 2)
            # and once more what all see: whatever anybody was told wrongly has come before that
            learn({**versions, "all": 2})
            for name, stream in streams:
                await stream.until(4 if name in names[::2] else 3)
            heard = [(name, [event.method for event in stream.events[1:]]) for name, stream in streams]
        assert heard == [(name, [CHANGED] * (3 if name in names[::2] else 2)) for name, _ in streams]
        assert len(heard) == 2 * count
        for _, stream in streams:
            stream.writer.transport.abort()


async def test_fifty_streams_of_each_era_hear_what_they_may() -> None:
    await every_stream_hears_its_own(50)


@pytest.mark.soak
async def test_a_thousand_streams_of_each_era_hear_what_they_may() -> None:
    await every_stream_hears_its_own(1000)


async def test_an_sdk_client_whose_connections_break_gets_its_answer() -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def late(call: Call, params: JsonObject, listener: Listener) -> Reply:
        await listener.progress({"progressToken": "theirs", "progress": 1})
        await go.wait()
        return Reply({"content": [{"type": "text", "text": "late"}]}, None, 1)

    made = world()
    made.upstreams.behaviours["up/slow"] = late
    async with serving(made) as served, cutting(served.port) as proxy:
        # The proxy's port is in Host, as a port that is forwarded would be.
        served.http.bound(proxy.port)
        async with (
            httpx2.AsyncClient(headers={"authorization": "Bearer ALICE"}, trust_env=False) as http,
            streamable_http_client(f"http://127.0.0.1:{proxy.port}/mcp", http_client=http) as (reading, writing),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            async with anyio.create_task_group() as group:

                async def progressed(progress: float, total: float | None, message: str | None) -> None:
                    arrived.set()

                async def cut() -> None:
                    await arrived.wait()
                    assert proxy.cut()
                    go.set()

                group.start_soon(cut)
                with anyio.fail_after(15):
                    answer = await session.call_tool("up__slow", {}, progress_callback=progressed)
    assert answer.content[0].model_dump()["text"] == "late"
    assert len(made.upstreams.calls) == 1
