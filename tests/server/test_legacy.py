"""Legacy sessions: the SDK's own client, and raw requests with a session that is someone else's."""

from __future__ import annotations

from itertools import count

import anyio
import httpx2
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from shim.model import Call, JsonObject, Listener, Reply
from shim.server.face import capabilities
from tests.server.doubles import Tokens, offer, tool, world
from tests.server.running import HELLO, JSON_HEADERS, LEGACY, Raw, client, events, request, serving


async def test_the_handshake_says_what_is_true() -> None:
    async with serving() as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
    assert session.hello["result"] == {
        "protocolVersion": LEGACY,
        "capabilities": capabilities(LEGACY),
        "serverInfo": {"name": "mcp-shim", "version": "0"},
        "instructions": "for alice",
    }


async def test_the_sdk_client_lists_and_calls() -> None:
    async with (
        serving() as served,
        httpx2.AsyncClient(headers={"authorization": "Bearer ALICE"}, trust_env=False) as http,
        streamable_http_client(served.url, http_client=http) as (reading, writing),
        ClientSession(reading, writing) as session,
    ):
        await session.initialize()
        listed = await session.list_tools()
        answer = await session.call_tool("up__echo", {"a": 1})
    assert [tool.name for tool in listed.tools] == ["up__echo", "up__placed", "up__slow"]
    assert not answer.is_error
    call = served.world.upstreams.calls[0]
    assert call.caller.session is not None
    assert call.run == call.caller.session
    assert call.caller.protocol == LEGACY


async def test_what_a_legacy_peer_does_not_know_is_left_out() -> None:
    async def modern(call: Call, params: JsonObject, listener: Listener) -> Reply:
        meta = {"io.modelcontextprotocol/serverInfo": {"name": "x", "version": "1"}, "own": None}
        return Reply({"content": [{"type": "odd", "x": 2**70}], "resultType": "complete", "_meta": meta}, None, 1)

    made = world()
    made.upstreams.behaviours["up/echo"] = modern
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        answer = await session.request("tools/call", {"name": "up__echo"})
    assert answer["result"] == {"content": [{"type": "odd", "x": 2**70}], "_meta": {"own": None}}


async def test_another_identity_does_not_find_the_session() -> None:
    async with serving() as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        message = {"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": {}}
        stolen = await session.post(message, authorization="Bearer BOB")
        unknown = await session.post(message, **{"mcp-session-id": "f" * 32})
    assert stolen.status_code == unknown.status_code == 404
    assert stolen.content == unknown.content
    assert served.world.record.refused() == [("tools/list", -32600), ("tools/list", -32600)]
    assert {k: v for k, v in stolen.headers.items() if k != "date"} == {
        k: v for k, v in unknown.headers.items() if k != "date"
    }


async def test_a_hidden_tool_answers_as_an_unknown_one_does() -> None:
    async with serving() as served, client() as http:
        session = await Raw(served, http, "BOB").open()
        hidden = await session.post(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "up__placed"}}
        )
        unknown = await session.post(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "up__nothin"}}
        )
    assert hidden.content.replace(b"placed", b"nothin") == unknown.content
    assert b"Unknown tool: up__placed" in hidden.content
    assert served.world.upstreams.calls == []


async def test_a_call_before_the_handshake_is_refused() -> None:
    async with serving() as served, client() as http:
        session = Raw(served, http, "ALICE")
        response = await session.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == -32600
    assert served.world.record.refused() == [("tools/list", -32600)]


async def test_progress_and_log_messages_come_before_the_answer() -> None:
    wished: list[object] = []

    async def chatty(call: Call, params: JsonObject, listener: Listener) -> Reply:
        wished.append(params["_meta"]["io.modelcontextprotocol/logLevel"])
        await listener.progress({"progressToken": "theirs", "progress": 1, "extra": None})
        await listener.log({"level": "info", "data": {"n": None}})
        await listener.log({"level": "error", "data": "bad"})
        return Reply({"content": []}, None, 1)

    made = world()
    made.upstreams.behaviours["up/echo"] = chatty
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        assert (await session.request("logging/setLevel", {"level": "warning"}))["result"] == {}
        message = {"name": "up__echo", "_meta": {"progressToken": 5}}
        response = await session.post({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": message})
    assert events(response) == [
        {
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": {"progressToken": 5, "progress": 1, "extra": None},
        },
        {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": "bad"}},
        {"jsonrpc": "2.0", "id": 9, "result": {"content": []}},
    ]
    assert wished == ["warning"], "the upstream is told, too"


async def test_an_unknown_level_is_refused_and_recorded() -> None:
    async with serving() as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        answer = await session.request("logging/setLevel", {"level": "loud"})
    assert answer["error"]["code"] == -32602
    assert served.world.record.refused() == [("logging/setLevel", -32602)]


async def test_cancelling_a_call_ends_it_upstream() -> None:
    started, cancelled = anyio.Event(), anyio.Event()

    async def hangs(call: Call, params: JsonObject, listener: Listener) -> Reply:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        raise AssertionError

    made = world()
    made.upstreams.behaviours["up/slow"] = hangs
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        async with anyio.create_task_group() as group:
            group.start_soon(session.request, "tools/call", {"name": "up__slow"}, 4)
            await started.wait()
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}}
            assert (await session.post(cancel)).status_code == 202
            with anyio.fail_after(5):
                await cancelled.wait()
    assert [outcome.status for _, outcome in served.world.record.outcomes] == ["cancelled"]


async def test_an_id_in_use_is_refused() -> None:
    started, finish = anyio.Event(), anyio.Event()

    async def waits(call: Call, params: JsonObject, listener: Listener) -> Reply:
        started.set()
        await finish.wait()
        return Reply({"content": []}, None, 1)

    made = world()
    made.upstreams.behaviours["up/slow"] = waits
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        async with anyio.create_task_group() as group:
            group.start_soon(session.request, "tools/call", {"name": "up__slow"}, 4)
            await started.wait()
            repeated = await session.post({"jsonrpc": "2.0", "id": "4", "method": "ping"})
            finish.set()
    assert (repeated.status_code, repeated.json()["error"]["code"]) == (400, -32600)


async def test_a_change_that_the_caller_can_see_is_announced() -> None:
    made = world()
    heard: list[str] = []
    changed = anyio.Event()

    async def on_message(message: object) -> None:
        heard.append(type(message).__name__)
        changed.set()

    async with (
        serving(made) as served,
        httpx2.AsyncClient(headers={"authorization": "Bearer BOB"}, trust_env=False) as http,
        streamable_http_client(served.url, http_client=http) as (reading, writing),
        ClientSession(reading, writing, message_handler=on_message) as session,
    ):
        await session.initialize()
        with anyio.fail_after(5):
            # The client opens the stream for announcements on its own time: change until it has heard of one.
            for version in count():
                await session.list_tools()
                made.catalog.learn(offer([tool("echo", title=str(version))]))
                if changed.is_set():
                    break
    assert "ToolListChangedNotification" in heard


async def test_a_lone_surrogate_does_not_break_a_session() -> None:
    async def odd(call: Call, params: JsonObject, listener: Listener) -> Reply:
        return Reply({"content": [{"type": "text", "text": "\ud800"}]}, None, 1)

    made = world()
    made.upstreams.behaviours["up/echo"] = odd
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        answer = await session.request("tools/call", {"name": "up__echo", "arguments": {"x": "\ud801"}})
    assert answer["result"]["content"][0]["text"] == "\ufffd"
    assert served.world.upstreams.calls[0].arguments == {"x": "\ud801"}


async def test_sessions_are_capped_and_freed_by_their_owner() -> None:
    async with serving(max_sessions=2) as served, client() as http:
        first = await Raw(served, http, "ALICE").open()
        await Raw(served, http, "ALICE").open()
        refused = await Raw(served, http, "ALICE").post(HELLO)
        ended = await http.delete(served.url, headers=first.headers)
        gone = await first.post({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        with anyio.fail_after(5):
            while (await Raw(served, http, "ALICE").post(HELLO)).status_code != 200:
                pass
    assert refused.status_code == 503
    assert ended.status_code == 200
    assert gone.status_code == 404


async def test_an_idle_session_ends() -> None:
    async with serving(session_idle=0.05) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        with anyio.fail_after(5):
            # Each look starts the idle time anew, so they come ever further apart.
            for patience in count(1):
                await anyio.sleep(0.05 * patience)
                response = await session.post({"jsonrpc": "2.0", "id": 1, "method": "ping"})
                if response.status_code == 404:
                    break


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"protocolVersion": LEGACY, "capabilities": {}},
        {"protocolVersion": 7, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
        {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1", "NAME": "y"}},
    ],
)
async def test_a_bad_handshake_is_refused_and_recorded(params: JsonObject) -> None:
    async with serving() as served, client() as http:
        response = await Raw(served, http, "ALICE").post({**HELLO, "params": params})
    code = events(response)[0]["error"]["code"]
    assert served.world.record.refused() == [("initialize", code)]


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "1999-01-01"])
async def test_earlier_revisions_are_spoken(version: str) -> None:
    async with serving() as served, client() as http:
        response = await Raw(served, http, "ALICE").post(
            {**HELLO, "params": {**HELLO["params"], "protocolVersion": version}}
        )
    answered = events(response)[0]["result"]["protocolVersion"]
    assert answered == (version if version != "1999-01-01" else LEGACY)


async def test_what_needs_a_session_is_refused_without_one() -> None:
    async with serving() as served, client() as http:
        headers = Raw(served, http, "ALICE").headers
        get = await http.get(served.url, headers=headers)
        unknown = await http.get(served.url, headers={**headers, "mcp-session-id": "x"})
        delete = await http.delete(served.url, headers={**headers, "mcp-session-id": "x"})
    assert (get.status_code, unknown.status_code, delete.status_code) == (405, 404, 404)


async def test_a_modern_request_in_a_session_is_refused() -> None:
    async with serving() as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        response = await session.post(request("tools/list"))
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)


async def test_methods_that_are_not_served_and_faults_tell_nothing() -> None:
    async def breaks(call: Call, params: JsonObject, listener: Listener) -> Reply:
        raise RuntimeError("secret detail")

    made = world()
    made.upstreams.behaviours["up/echo"] = breaks
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        for method in ("tasks/list", "server/discover", "subscriptions/listen", "no/such"):
            assert (await session.request(method))["error"]["code"] == -32601
        fault = await session.request("tools/call", {"name": "up__echo"})
        bad = await session.request("tools/call", {"name": {}})
        made.record.down = True
        unrecorded = await session.request("tools/list")
    assert fault["error"] == {"code": -32603, "message": "Internal error"}
    assert bad["error"]["code"] == -32602
    assert unrecorded["error"]["data"]["reason"] == "record-unavailable"


async def test_stopping_ends_streams_at_once_and_calls_in_their_time() -> None:
    started, finish = anyio.Event(), anyio.Event()

    async def waits(call: Call, params: JsonObject, listener: Listener) -> Reply:
        started.set()
        await finish.wait()
        return Reply({"content": ["done"]}, None, 1)

    made = world()
    made.upstreams.behaviours["up/slow"] = waits
    answers: list[JsonObject] = []

    async def ask(session: Raw) -> None:
        answers.append(await session.request("tools/call", {"name": "up__slow"}))

    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        async with (
            anyio.create_task_group() as group,
            http.stream("GET", served.url, headers=session.headers) as stream,
        ):
            assert stream.status_code == 200
            group.start_soon(ask, session)
            await started.wait()
            served.stop.set()
            with anyio.fail_after(5):
                await stream.aread()
            finish.set()
    assert answers[0]["result"] == {"content": ["done"]}


async def test_a_stream_does_not_outlive_the_token_that_opened_it_and_the_session_does() -> None:
    tokens = Tokens("alice")
    async with serving(tokens=tokens) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        tokens.expire("alice", 1.0)
        async with http.stream("GET", served.url, headers=session.headers) as stream:
            assert stream.status_code == 200
            with anyio.fail_after(10):
                await stream.aread()
        assert (await session.post({"jsonrpc": "2.0", "id": 2, "method": "ping"})).status_code == 401
        tokens.expire("alice", 3600)
        assert (await session.request("ping"))["result"] == {}


async def test_a_call_that_outlasts_the_grace_is_cancelled_and_recorded() -> None:
    started = anyio.Event()

    async def hangs(call: Call, params: JsonObject, listener: Listener) -> Reply:
        started.set()
        await anyio.sleep_forever()
        raise AssertionError

    made = world()
    made.upstreams.behaviours["up/slow"] = hangs
    async with serving(made, grace=0.1) as served, client() as http, anyio.create_task_group() as group:
        session = await Raw(served, http, "ALICE").open()
        group.start_soon(session.request, "tools/call", {"name": "up__slow"})
        await started.wait()
        served.stop.set()
        with anyio.fail_after(5):
            await served.ended.wait()
    assert [outcome.status for _, outcome in made.record.outcomes] == ["cancelled"]


async def test_a_handshake_that_is_refused_leaves_no_session() -> None:
    async with serving(max_sessions=3) as served, client() as http:
        headers = {**JSON_HEADERS, "authorization": "Bearer ALICE"}
        wrong = {**HELLO, "params": {**HELLO["params"], "clientInfo": {"name": 1}}}
        for _ in range(3):
            refused = await http.post(served.url, json=wrong, headers=headers)
            assert events(refused)[0]["error"]["code"] == -32602
        # then there is room for others
        assert "result" in (await Raw(served, http, "BOB").open()).hello
