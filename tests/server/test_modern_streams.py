"""Streams of the modern face: notices, pings, subscriptions, clients that leave and a server that stops."""

from __future__ import annotations

import json

import anyio
import pytest

from shim.model import Call, Json, JsonObject, Listener, Reply
from shim.server import face
from tests.server.doubles import Tokens, offer, tool, world
from tests.server.listening import listening
from tests.server.running import PATIENCE, call, client, events, post, request, routed, serving


async def chatty(call: Call, params: JsonObject, listener: Listener) -> Reply:
    await listener.progress({"progressToken": "theirs", "progress": 1, "extra": None})
    await listener.log({"level": "debug", "data": "fine"})
    await listener.log({"level": "error", "data": "bad"})
    return Reply({"content": []}, None, 1)


@pytest.mark.parametrize(
    ("meta", "methods"),
    [
        ({}, []),
        ({"progressToken": 0}, ["notifications/progress"]),
        ({"io.modelcontextprotocol/logLevel": "warning"}, ["notifications/message"]),
        (
            {"progressToken": "t", "io.modelcontextprotocol/logLevel": "debug"},
            ["notifications/progress", "notifications/message", "notifications/message"],
        ),
    ],
)
async def test_notices_that_were_asked_for_come_before_the_answer(meta: dict[str, Json], methods: list[str]) -> None:
    made = world()
    made.upstreams.behaviours["up/echo"] = chatty
    async with serving(made) as served:
        response = await post(served, call("up__echo", id=5, **meta))
    if not methods:
        assert response.json()["id"] == 5
        return
    assert response.headers["content-type"] == "text/event-stream"
    *notices, answer = events(response)
    assert [notice["method"] for notice in notices] == methods
    assert answer["result"]["content"] == []
    if "progressToken" in meta:
        assert notices[0]["params"] == {"progressToken": meta["progressToken"], "progress": 1, "extra": None}


async def test_a_silent_call_is_kept_alive_by_pings() -> None:
    pinged = anyio.Event()

    async def waits(call: Call, params: JsonObject, listener: Listener) -> Reply:
        await pinged.wait()
        return Reply({"content": []}, None, 1)

    made = world()
    made.upstreams.behaviours["up/slow"] = waits
    message = call("up__slow")
    seen = b""
    async with (
        serving(made, ping=0.01) as served,
        client() as http,
        http.stream("POST", served.url, content=json.dumps(message).encode(), headers=routed(message)) as response,
    ):
        async for piece in response.aiter_raw():
            seen += piece
            if seen.count(b": ping") >= 2:
                pinged.set()
    assert seen.startswith(b": ping\r\n\r\n")
    assert b'"content":[]' in seen


async def test_a_client_that_leaves_cancels_its_call() -> None:
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
    async with serving(made) as served:
        with anyio.move_on_after(PATIENCE) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(post, served, call("up__slow"))
                await started.wait()
                group.cancel_scope.cancel()
            await cancelled.wait()
        assert not scope.cancelled_caught
        still = await post(served, request("tools/list"))
    assert still.status_code == 200
    assert [outcome.status for _, outcome in made.record.outcomes] == ["cancelled"]


async def test_a_slow_reader_holds_up_no_upstream() -> None:
    async def floods(call: Call, params: JsonObject, listener: Listener) -> Reply:
        for number in range(20_000):
            await listener.progress({"progress": number, "message": "x" * 1000})
        return Reply({"content": []}, None, 1)

    made = world()
    made.upstreams.behaviours["up/echo"] = floods
    async with serving(made) as served:
        response = await post(served, call("up__echo", progressToken=1))
    *notices, answer = events(response)
    assert answer["id"] == 1
    assert 0 < len(notices) <= 256


async def test_an_unexpected_fault_tells_the_client_nothing() -> None:
    async def breaks(call: Call, params: JsonObject, listener: Listener) -> Reply:
        raise RuntimeError("secret detail")

    made = world()
    made.upstreams.behaviours["up/echo"] = breaks
    async with serving(made) as served:
        response = await post(served, call("up__echo"))
        again = await post(served, call("up__slow"))
    assert response.status_code == 500
    assert response.json()["error"] == {"code": -32603, "message": "Internal error"}
    assert again.status_code == 200


async def test_a_record_that_is_down_refuses_in_the_open() -> None:
    made = world()
    made.record.down = True
    async with serving(made) as served:
        listed = await post(served, request("tools/list"))
        listening = await post(served, request("subscriptions/listen", {"notifications": {}}))
        called = await post(served, call("up__echo"))
    for response in (listed, listening):
        assert response.json()["error"]["code"] == -32010
        assert response.json()["error"]["data"]["reason"] == "record-unavailable"
    assert called.json()["result"]["isError"] is True
    assert made.upstreams.calls == []


async def test_a_subscription_tells_of_changes_that_its_caller_can_see() -> None:
    made = world()
    message = request("subscriptions/listen", {"notifications": {"toolsListChanged": True, "more": 1}}, id="s")
    heard: list[JsonObject] = []
    async with (
        serving(made) as served,
        client() as http,
        http.stream(
            "POST", served.url, content=json.dumps(message).encode(), headers=routed(message, "BOB")
        ) as response,
    ):
        async for line in response.aiter_lines():
            if not line.startswith("data:"):
                continue
            heard.append(json.loads(line[5:]))
            if len(heard) == 1:
                made.catalog.learn(offer([tool("echo"), tool("slow"), tool("hidden from bob")]))
                made.catalog.learn(offer([tool("echo", title="new"), tool("slow")]))
            if len(heard) == 2:
                served.stop.set()
    acknowledged, changed, closed = heard
    meta = {"io.modelcontextprotocol/subscriptionId": "s"}
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert acknowledged["params"] == {"_meta": meta, "notifications": {"toolsListChanged": True}}
    assert changed == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": meta}}
    assert (closed["id"], closed["result"]["resultType"]) == ("s", "complete")
    assert closed["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "s"
    assert [outcome.status for _, outcome in made.record.outcomes] == ["ok"]


async def test_no_identity_takes_the_streams_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "LISTENING_PER_IDENTITY", 1)
    message = request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, id=2)
    async with serving() as served, listening(served, "ALICE") as stream, listening(served, "BOB") as other:
        await stream.until(1)
        await other.until(1)
        assert (await post(served, message)).json()["error"]["message"] == "Too many open streams"


async def test_a_subscription_does_not_outlive_the_token_that_opened_it() -> None:
    tokens = Tokens("alice")
    tokens.expire("alice", 1.0)
    async with serving(tokens=tokens) as served:
        response = await post(served, request("subscriptions/listen", {"notifications": {}}, id="s"))
        again = await post(served, request("subscriptions/listen", {"notifications": {}}, id="s"))
    assert [message.get("method", "closed") for message in events(response)] == [
        "notifications/subscriptions/acknowledged",
        "closed",
    ]
    assert again.status_code == 401


async def test_stopping_lets_a_running_call_end() -> None:
    started, finish = anyio.Event(), anyio.Event()

    async def waits(call: Call, params: JsonObject, listener: Listener) -> Reply:
        started.set()
        await finish.wait()
        return Reply({"content": ["done"]}, None, 1)

    made = world()
    made.upstreams.behaviours["up/slow"] = waits
    answers = []

    async def ask() -> None:
        answers.append(await post(served, call("up__slow")))

    async with serving(made) as served, anyio.create_task_group() as group:
        group.start_soon(ask)
        await started.wait()
        served.stop.set()
        finish.set()
    assert answers[0].json()["result"]["content"] == ["done"]


async def test_stopping_waits_no_longer_than_it_was_told_to() -> None:
    started = anyio.Event()

    async def hangs(call: Call, params: JsonObject, listener: Listener) -> Reply:
        started.set()
        await anyio.sleep_forever()
        raise AssertionError

    made = world()
    made.upstreams.behaviours["up/slow"] = hangs

    async def ask() -> None:
        async with client() as http:
            message = call("up__slow")
            try:
                await http.post(served.url, content=json.dumps(message).encode(), headers=routed(message))
            except Exception as error:  # noqa: BLE001 (whatever a client makes of a server that goes away)
                failures.append(error)

    failures: list[Exception] = []
    async with serving(made, grace=0.1) as served, anyio.create_task_group() as group:
        group.start_soon(ask)
        await started.wait()
        served.stop.set()
        with anyio.fail_after(PATIENCE):
            await served.ended.wait()
    assert [outcome.status for _, outcome in made.record.outcomes] == ["cancelled"]
