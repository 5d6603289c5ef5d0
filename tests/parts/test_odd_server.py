"""The odd server keeps to each era's protocol where it does not mean to break it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from shim.model import Json, JsonObject
from tests.parts.odd import ROOT, odd_argv, odd_http, read_ledger
from tests.promises.wire import HELLO, Era, HttpPeer, Peer, StdioPeer, http, stdio, with_envelope

WAYS = [(era, transport) for era in ("modern", "legacy") for transport in ("stdio", "http")]


@asynccontextmanager
async def peer(era: Era, transport: str, ledger: Path | None = None) -> AsyncIterator[Peer]:
    if transport == "stdio":
        async with stdio(odd_argv(era, ledger=ledger), era, cwd=ROOT) as there:
            yield there
    else:
        async with odd_http(era, ledger=ledger) as url, http(url, era) as there:
            yield there


async def all_tools(there: Peer) -> list[JsonObject]:
    tools: list[JsonObject] = []
    params: JsonObject = {}
    while True:
        answer = await there.request("tools/list", params)
        tools += answer["result"]["tools"]
        cursor = answer["result"].get("nextCursor")
        if cursor is None:
            return tools
        params = {"cursor": cursor}


async def call(there: Peer, name: str, arguments: JsonObject | None = None, meta: JsonObject | None = None) -> Json:
    params: JsonObject = {"name": name, "arguments": arguments or {}}
    return await there.request("tools/call", {**params, "_meta": meta} if meta else params)


@pytest.mark.parametrize(("era", "transport"), WAYS)
async def test_both_eras_over_both_transports(era: Era, transport: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with peer(era, transport, ledger) as there:
        tools = await all_tools(there)
        numbers = await call(there, "numbers")
        every = await call(there, "every_content")
        error = await call(there, "rpc_error")
        unknown = await call(there, "nothing")
        await call(there, "progress", {"steps": 3}, {"progressToken": "p"})
        await call(there, "note", {"id": "n1"})
    assert len(tools) == len({tool["name"] for tool in tools}) == 18
    assert numbers["result"]["structuredContent"]["two_to_64"] == 2**64
    assert len(str(numbers["result"]["structuredContent"]["digits_4000"])) == 4000
    assert {block["type"] for block in every["result"]["content"]} == {
        "text",
        "image",
        "audio",
        "resource_link",
        "resource",
    }
    assert error["error"]["code"] == 4242
    assert error["error"]["data"]["detail"] == {"z": None, "a": 2**64}
    assert unknown["error"] == {"code": -32602, "message": "Unknown tool: nothing"}
    heard = [message["params"]["progress"] for message in there.heard]
    assert heard == [1, 2, 3]
    assert ("resultType" in every["result"]) == (era == "modern")
    assert [entry["arguments"] for entry in read_ledger(ledger)][-1] == {"id": "n1"}


async def test_a_cancelled_call_gets_no_answer_over_stdio() -> None:
    async with stdio(odd_argv("both"), "modern", cwd=ROOT) as there:
        params = with_envelope("modern", {"name": "slow", "arguments": {"key": "k"}})
        await there.send({"jsonrpc": "2.0", "id": "s", "method": "tools/call", "params": params})
        await until_slept(there, "started")
        await there.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "s"}})
        await until_slept(there, "cancelled")
    assert not [message for message in there.heard if message.get("id") == "s"]


async def until_slept(there: Peer, what: str) -> None:
    async with asyncio.timeout(10):
        while "k" not in (await call(there, "slept"))["result"]["structuredContent"][what]:
            pass


async def test_a_modern_client_that_leaves_has_cancelled_over_http() -> None:
    async with odd_http("both") as url, http(url, "modern") as there:
        async with http(url, "modern") as leaver:
            leaving = asyncio.ensure_future(call(leaver, "slow", {"key": "k"}))
            await until_slept(there, "started")
            leaving.cancel()
        await until_slept(there, "cancelled")


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_who_listens_hears_that_the_list_changed(transport: str) -> None:
    listen = with_envelope("modern", {"notifications": {"toolsListChanged": True}})
    message = {"jsonrpc": "2.0", "id": "sub", "method": "subscriptions/listen", "params": listen}
    async with peer("modern", transport) as there:
        if isinstance(there, StdioPeer):
            await there.send(message)
            acknowledged = await there.receive()
            await call(there, "change_list")
            changed = there.heard[-1]
        else:
            assert isinstance(there, HttpPeer)
            headers = {**there.headers, "mcp-method": "subscriptions/listen"}
            async with there.client.stream("POST", there.url, content=json.dumps(message), headers=headers) as stream:
                lines = (line async for line in stream.aiter_lines() if line.startswith("data:"))
                acknowledged = json.loads((await anext(lines))[5:])
                await call(there, "change_list")
                changed = json.loads((await anext(lines))[5:])
        names = {tool["name"] for tool in await all_tools(there)}
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert changed["method"] == "notifications/tools/list_changed"
    assert changed["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "sub"}
    assert "extra" in names


async def test_a_legacy_session_hears_that_the_list_changed_on_its_get_stream() -> None:
    async with odd_http("legacy") as url, http(url, "legacy") as there:
        headers = {**there.headers, "accept": "text/event-stream"}
        async with there.client.stream("GET", url, headers=headers) as stream:
            lines = (line async for line in stream.aiter_lines() if line.startswith("data:"))
            await call(there, "change_list")
            assert json.loads((await anext(lines))[5:])["method"] == "notifications/tools/list_changed"


async def test_each_era_refuses_the_other_as_its_own_rules_say() -> None:
    async with odd_http("legacy") as url, http(url, "modern") as modern:
        refused = await modern.post(
            {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": with_envelope("modern", {})},
            {"mcp-method": "server/discover"},
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600)
    async with odd_http("modern") as url, httpx2.AsyncClient(trust_env=False) as client:
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
        refused = await client.post(url, content=json.dumps(hello))
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32020)


async def test_headers_that_contradict_the_body_are_refused() -> None:
    async with odd_http("modern") as url, http(url, "modern") as there:
        params = with_envelope("modern", {"name": "by_region", "arguments": {"region": "north", "where": {"floor": 3}}})
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        named = {"mcp-method": "tools/call", "mcp-name": "by_region"}
        right = {**named, "mcp-param-region": "north", "mcp-param-floor": "3"}
        assert (await there.post(message, right)).status_code == 200
        for wrong in (named, {**right, "mcp-param-floor": "4"}, {**right, "mcp-name": "odd"}):
            answer = await there.post(message, wrong)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


async def test_a_forgotten_legacy_session_is_not_found() -> None:
    async with odd_http("legacy") as url, http(url, "legacy") as there:
        await call(there, "forget_session")
        gone = await there.post({"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": {}})
        assert gone.status_code == 404


@pytest.mark.parametrize("era", ["legacy", "modern", "both"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_the_official_client_is_content(era: str, transport: str) -> None:
    assert era in ("legacy", "modern", "both")
    speaks = next(name for name in ("legacy", "modern", "both") if name == era)
    async with odd_http(speaks) as url:
        argv = odd_argv(speaks)
        command = StdioServerParameters(command=argv[0], args=argv[1:], cwd=ROOT)
        async with Client(url if transport == "http" else stdio_client(command)) as client:
            found = await client.list_tools()
            structured = await client.call_tool("structured")
    assert found.tools
    assert structured.structured_content == {"temperature": 22.5, "conditions": "partly cloudy", "humidity": 65}
