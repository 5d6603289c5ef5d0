"""The modern face: one POST a request, raw results, headers that agree with the body."""

from __future__ import annotations

import json

from tests.server.running import call, post, request, serving


async def test_a_call_is_answered_with_what_the_upstream_said() -> None:
    async with serving() as served:
        response = await post(served, call("up__echo", {"n": 2**70}))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    result = response.json()["result"]
    assert result["echo"] == {"n": 2**70}
    assert result["resultType"] == "complete"
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"] == {"name": "mcp-shim", "version": "0"}


async def test_a_list_shows_what_the_caller_may_use() -> None:
    async with serving() as served:
        alice = await post(served, request("tools/list"))
        bob = await post(served, request("tools/list"), token="BOB")
    assert [tool["name"] for tool in alice.json()["result"]["tools"]] == ["up__echo", "up__placed", "up__slow"]
    assert [tool["name"] for tool in bob.json()["result"]["tools"]] == ["up__echo"]
    assert alice.json()["result"]["cacheScope"] == "private"
    assert json.loads(alice.content)["result"]["ttlMs"] >= 0
