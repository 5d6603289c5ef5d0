"""A request belongs to one generation, whenever another takes its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from shim.model import Call, JsonObject, Listener, Reply
from tests.server.doubles import Tokens, World, world
from tests.server.running import PATIENCE, Served, call, client, events, generation_of, post, request, routed, serving


def with_grants(**grants: set[str]) -> World:
    return world(grants={name: {f"up/{tool}" for tool in tools} for name, tools in grants.items()})


async def test_a_call_that_runs_ends_in_the_generation_it_began_in() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def waits(call: Call, params: JsonObject, listener: Listener) -> Reply:
        began.set()
        await go_on.wait()
        return Reply({"content": []}, None, 1)

    old, new = world(), with_grants(bob={"echo"})
    old.upstreams.behaviours["up/slow"] = waits
    async with serving(old) as served, asyncio.TaskGroup() as group:
        task = group.create_task(post(served, call("up__slow")))
        await began.wait()
        served.face.current.replace(generation_of(new, Tokens("bob")))
        refused = await post(served, call("up__slow"))
        go_on.set()
        answer = await task
    assert refused.status_code == 401
    assert answer.json()["result"]["content"] == []
    assert [outcome.status for _, outcome in old.record.outcomes] == ["ok"]
    assert new.record.intents == []


@asynccontextmanager
async def half_sent(
    served: Served, body: bytes, **headers: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A request whose sender is known, and whose body is not there yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    sent = {**headers, "host": f"127.0.0.1:{served.port}", "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    writer.write(f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode() + body[:10])
    await writer.drain()
    # Another request on its own connection is answered after this one was begun.
    await post(served, request("tools/list"))
    try:
        yield reader, writer
    finally:
        writer.close()


async def answered(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(65536), PATIENCE)


async def test_who_sends_slowly_is_judged_when_all_is_there() -> None:
    body = json.dumps(call("up__slow")).encode()
    headers = routed(call("up__slow"))
    old, new = world(), with_grants(alice={"echo"}, bob={"echo"})
    async with serving(old) as served:
        # given a call that is allowed, of which the end is missing, when it is allowed no more
        async with half_sent(served, body, **headers) as (reader, writer):
            served.face.current.replace(generation_of(new, Tokens("alice", "bob")))
            writer.write(body[10:])
            answer = await answered(reader)
            assert b"Unknown tool: up__slow" in answer
        # and when its sender is nobody any more
        async with half_sent(served, body, **headers) as (reader, writer):
            served.face.current.replace(generation_of(with_grants(bob={"echo"}), Tokens("bob")))
            writer.write(body[10:])
            answer = await answered(reader)
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert served.refused[-1][1] == "unknown token"
    assert old.upstreams.calls == new.upstreams.calls == []


async def test_a_stream_hears_of_what_its_owner_sees_and_ends_with_its_owner() -> None:
    old = world()
    async with serving(old) as served, client() as http:
        message = request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, id="s")
        async with http.stream("POST", served.url, json=message, headers=routed(message)) as stream:
            lines = stream.aiter_lines()
            await until(lines, "acknowledged")
            # when another generation shows the same, then nothing is said
            served.face.current.replace(generation_of(with_grants(alice={"echo", "slow", "placed"}), Tokens("alice")))
            await post(served, request("tools/list"))
            served.face.current.replace(generation_of(with_grants(alice={"echo"}), Tokens("alice")))
            assert await until(lines, "list_changed") == 0
            # and when its owner is gone, then it is closed as streams are
            served.face.current.replace(generation_of(with_grants(bob={"echo"}), Tokens("bob")))
            rest = [line async for line in lines]
    assert [line for line in rest if "list_changed" in line] == []
    assert any('"resultType":"complete"' in line for line in rest)


async def until(lines: AsyncIterator[str], words: str) -> int:
    """How many messages came before the one with these words."""
    before = 0
    async for line in lines:
        if words in line:
            return before
        before += line.startswith("data:")
    raise AssertionError(words)


async def test_a_list_is_that_of_the_generation_in_force() -> None:
    async with serving() as served:
        for tools in ({"echo"}, {"echo", "slow"}, {"placed"}):
            served.face.current.replace(generation_of(with_grants(alice=tools), Tokens("alice")))
            answer: httpx2.Response = await post(served, request("tools/list"))
            assert {tool["name"] for tool in answer.json()["result"]["tools"]} == {f"up__{tool}" for tool in tools}
    assert events(answer) == []
