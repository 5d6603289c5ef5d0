"""The modern face: one POST a request, raw results, headers that agree with the body."""

from __future__ import annotations

import json

import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.inbound import encode_header_value

from shim.model import Call, Credential, Identity, JsonObject, Listener, Reply
from shim.server.face import capabilities
from tests.server.doubles import world
from tests.server.running import LEGACY, call, client, envelope, post, request, routed, serving


async def test_a_call_is_answered_with_what_the_upstream_said() -> None:
    async def odd(call: Call, params: JsonObject, listener: Listener) -> Reply:
        content = [{"type": "odd", "z": None, "a": 2**70}]
        return Reply({"structuredContent": [1], "content": content, "isError": None, "extra": "\ud800"}, None, 1)

    made = world()
    made.upstreams.behaviours["up/echo"] = odd
    async with serving(made) as served:
        response = await post(served, call("up__echo", {"n": 2**70}))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert made.upstreams.calls[0].arguments == {"n": 2**70}
    assert json.loads(response.content)["result"] == {
        "structuredContent": [1],
        "content": [{"type": "odd", "z": None, "a": 2**70}],
        "isError": None,
        "extra": "\ud800",
        "resultType": "complete",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "mcp-shim", "version": "0"}},
    }


async def test_what_the_upstream_says_of_type_and_server_is_kept() -> None:
    async def own(call: Call, params: JsonObject, listener: Listener) -> Reply:
        meta = {"io.modelcontextprotocol/serverInfo": {"name": "own", "version": "9"}}
        return Reply({"content": [], "resultType": "theirs", "_meta": meta}, None, 1)

    made = world()
    made.upstreams.behaviours["up/echo"] = own
    async with serving(made) as served:
        result = (await post(served, call("up__echo"))).json()["result"]
    assert result["resultType"] == "theirs"
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"] == {"name": "own", "version": "9"}


async def test_an_error_of_the_upstream_passes_with_the_status_that_it_stands_for() -> None:
    async def fails(call: Call, params: JsonObject, listener: Listener) -> Reply:
        return Reply(None, {"code": -32602, "message": "no", "data": None, "more": 1}, 1)

    made = world()
    made.upstreams.behaviours["up/echo"] = fails
    async with serving(made) as served:
        response = await post(served, call("up__echo"))
    assert response.status_code == 400
    assert response.json()["error"] == {"code": -32602, "message": "no", "data": None, "more": 1}


async def test_a_list_shows_what_the_caller_may_use() -> None:
    async with serving() as served:
        alice = (await post(served, request("tools/list"))).json()["result"]
        bob = (await post(served, request("tools/list"), token="BOB")).json()["result"]
    assert [tool["name"] for tool in alice["tools"]] == ["up__echo", "up__placed", "up__slow"]
    assert [tool["name"] for tool in bob["tools"]] == ["up__echo"]
    assert (alice["cacheScope"], alice["resultType"]) == ("private", "complete")


async def test_discovery_says_what_is_true() -> None:
    async with serving() as served:
        result = (await post(served, request("server/discover"))).json()["result"]
    assert result["supportedVersions"] == ["2026-07-28"]
    assert result["capabilities"] == capabilities("2026-07-28")
    assert result["instructions"] == "for alice"


async def test_the_sdk_client() -> None:
    async with serving() as served, client() as http:
        http.headers["authorization"] = "Bearer ALICE"
        async with Client(streamable_http_client(served.url, http_client=http), mode="auto") as sdk:
            listed = await sdk.list_tools()
            answer = await sdk.call_tool("up__placed", {"region": "Zürich"})
    assert [tool.name for tool in listed.tools] == ["up__echo", "up__placed", "up__slow"]
    assert not answer.is_error
    assert served.world.upstreams.calls[0].caller.protocol == "2026-07-28"


async def test_a_caller_is_who_the_token_says_with_what_the_body_says_beside_it() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
    async with serving() as served:
        await post(served, call("up__echo", traceparent=trace))
    caller = served.world.upstreams.calls[0].caller
    assert caller.credential == Credential(Identity("alice"), "alice-token")
    assert caller.client is not None
    assert (caller.client.name, caller.address) == ("raw", "127.0.0.1")
    assert caller.trace == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("sent", [{}, {"mcp-param-region": "x"}, {"mcp-param-region": "other"}, {"mcp-param-no": "x"}])
async def test_a_hidden_tool_answers_as_an_unknown_one_does(sent: dict[str, str]) -> None:
    async with serving() as served:
        answers = []
        for name in ("up__placed", "up__nothin"):
            message = call(name, {"region": "x"})
            answers.append(await post(served, message, {**routed(message, "BOB"), **sent}))
    hidden, unknown = answers
    assert hidden.content.replace(b"placed", b"nothin") == unknown.content
    assert hidden.status_code == unknown.status_code == 400
    assert [name for name, _ in hidden.headers.items()] == [name for name, _ in unknown.headers.items()]
    assert served.world.upstreams.calls == []
    assert served.world.record.refused() == []


@pytest.mark.parametrize(
    ("sent", "accepted"),
    [
        ({}, False),
        ({"mcp-param-region": "x"}, True),
        ({"Mcp-Param-REGION": "x"}, True),
        ({"mcp-param-region": "=?base64?eA==?="}, True),
        ({"mcp-param-region": "y"}, False),
        ({"mcp-param-region": "=?base64?eA=?="}, False),
    ],
)
async def test_parameters_in_headers_agree_with_the_arguments(sent: dict[str, str], accepted: bool) -> None:
    async with serving() as served:
        message = call("up__placed", {"region": "x"})
        response = await post(served, message, {**routed(message), **sent})
    assert (response.status_code == 200) is accepted, response.text
    if not accepted:
        assert response.status_code == 400
        assert response.json()["error"]["code"] == -32020
        assert served.world.upstreams.calls == []
        assert served.world.record.refused() == [("tools/call", -32020)]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"mcp-protocol-version": None}, -32020),
        ({"mcp-protocol-version": LEGACY}, -32020),
        ({"mcp-protocol-version": "2099-01-01"}, -32020),
        ({"mcp-method": None}, -32020),
        ({"mcp-method": "tools/list"}, -32020),
        ({"mcp-method": "Tools/call"}, -32020),
        ({"mcp-name": None}, -32020),
        ({"mcp-name": "up__slow"}, -32020),
        ({"mcp-name": "=?base64?" + "!" + "?="}, -32020),
    ],
)
async def test_a_lying_header_is_refused_and_recorded(changed: dict[str, str | None], code: int) -> None:
    async with serving() as served:
        message = call("up__echo", id="x")
        headers = {**routed(message), **{k: v for k, v in changed.items() if v is not None}}
        for name in [name for name, value in changed.items() if value is None]:
            del headers[name]
        response = await post(served, message, headers)
    assert response.status_code == 400
    assert (response.json()["id"], response.json()["error"]["code"]) == ("x", code)
    assert served.world.record.refused() == [("tools/call", code)]
    assert served.world.record.intents == []


async def test_a_name_in_the_base64_form_is_understood() -> None:
    async with serving() as served:
        message = call("up__ëcho")
        headers = {**routed(call("x")), "mcp-name": encode_header_value("up__ëcho")}
        encoded = await post(served, message, headers)
        bare = await post(served, call("up__echo"), {**routed(call("up__echo")), "mcp-name": "=?base64?dXBfX2VjaG8=?="})
    assert encoded.json()["error"]["message"] == "Unknown tool: up__ëcho"
    assert bare.status_code == 200


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({"io.modelcontextprotocol/clientCapabilities": None}, -32602),
        ({"io.modelcontextprotocol/clientInfo": "me"}, -32602),
        ({"io.modelcontextprotocol/clientInfo": {"name": "me", "Name": "you", "version": "1"}}, -32600),
        ({"io.modelcontextprotocol/logLevel": "loud"}, -32602),
        ({"progressToken": 1.5}, -32602),
        ({"progresstoken": 1}, -32600),
        ({"io.modelcontextprotocol/ProtocolVersion": "2025-11-25"}, -32600),
    ],
)
async def test_a_bad_envelope_is_refused_and_recorded(meta: JsonObject, code: int) -> None:
    async with serving() as served:
        response = await post(served, call("up__echo", **meta))
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert served.world.record.refused() == [("tools/call", code)]
    assert served.world.upstreams.calls == []


async def test_an_envelope_without_what_it_must_hold_is_refused() -> None:
    async with serving() as served:
        message = request("tools/list")
        del message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        response = await post(served, message)
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)


async def test_another_revision_is_told_which_is_served() -> None:
    async with serving() as served:
        message = request("tools/list", None)
        message["params"]["_meta"] = {**envelope(), "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
        response = await post(served, message, {**routed(message), "mcp-protocol-version": "2099-01-01"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == -32022
    assert response.json()["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2099-01-01"}


@pytest.mark.parametrize("params", [{"name": {}}, {"name": None}, {}, {"name": "up__echo", "arguments": [1]}])
async def test_params_that_are_no_call_are_refused_and_recorded(params: JsonObject) -> None:
    async with serving() as served:
        response = await post(served, request("tools/call", params))
    assert response.status_code == 400
    assert served.world.record.refused() == [("tools/call", response.json()["error"]["code"])]
    assert served.world.record.intents == []


async def test_methods_that_are_not_served() -> None:
    async with serving() as served:
        for method in ("tasks/list", "initialize", "ping", "logging/setLevel"):
            response = await post(served, request(method))
            assert (response.status_code, response.json()["error"]["code"]) == (404, -32601)
        notification = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        accepted = await post(served, notification)
        answer = await post(served, {"jsonrpc": "2.0", "id": 1, "result": {}})
        async with client() as http:
            get = await http.get(served.url, headers=routed({}))
            delete = await http.delete(served.url, headers={**routed({}), "mcp-session-id": "x"})
    assert (accepted.status_code, accepted.content) == (202, b"")
    assert answer.status_code == 400
    assert (get.status_code, delete.status_code) == (405, 405)
    assert get.headers["allow"] == "POST"


async def test_a_cursor_that_nobody_gave_is_refused() -> None:
    async with serving() as served:
        response = await post(served, request("tools/list", {"cursor": "x"}))
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)
