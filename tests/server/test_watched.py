"""Subscriptions to resources as the faces have them: who is told, what is bounded, what nobody can tell apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count

import anyio
import pytest

from shim.generation import Current
from shim.model import Call, Caller, JsonObject, Listener, Reply
from shim.server.closing import Closing
from shim.server.message import read
from shim.server.request import Request
from shim.server.subscriptions import listen
from shim.server.watched import MOST, Watched
from tests.server.doubles import Tokens, World, offer, tool, world
from tests.server.listening import getting, listening, until
from tests.server.running import (
    LEGACY,
    MODERN,
    PATIENCE,
    Raw,
    client,
    generation_of,
    post,
    request,
    serving,
)

UPDATED = "notifications/resources/updated"


class Source:
    """An upstream whose resources change when the test says so."""

    def __init__(self, made: World) -> None:
        self.heard: list[tuple[str, Watched]] = []
        self.made = made
        for ref in ("resource:up/x:a", "resource:up/x:b"):
            made.upstreams.behaviours[ref] = self

    async def __call__(self, call: Call, params: JsonObject, listener: Listener) -> Reply:
        assert isinstance(listener, Watched)
        entry = (str(params["uri"]), listener)
        self.heard.append(entry)
        listener.heard(entry[0], self._release(entry))
        return Reply({}, None, 2)

    def _release(self, entry: tuple[str, Watched]) -> Callable[[], None]:
        return lambda: self.heard.remove(entry)

    def change(self, uri: str) -> None:
        for _, listener in tuple(self.heard):
            listener.updated(uri, f"resource:up/{uri}")


def made() -> World:
    """`alice` may read two resources, `bob` none."""
    grants = {"alice": {"up/echo", "resource:up/x:a", "resource:up/x:b"}, "bob": {"up/echo"}}
    there = world([tool("echo")], grants)
    offered = offer([tool("echo")])
    resources = tuple({"uri": uri, "name": uri} for uri in ("x:a", "x:b"))
    there.catalog.learn(
        type(offered)(
            "up", "legacy", LEGACY, {}, {"resources": {}, "tools": {}}, None, offered.tools, resources=resources
        )
    )
    return there


async def test_changes_wait_for_a_client_that_is_not_there_and_are_told_once() -> None:
    there = made()
    source = Source(there)
    async with serving(there) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        for uri in ("x:a", "x:b"):
            assert (await session.request("resources/subscribe", {"uri": uri}))["result"] == {}
        for _ in range(5):
            source.change("x:b")
            source.change("x:a")
        # when one is no longer wanted, then what waited of it is not told
        assert (await session.request("resources/unsubscribe", {"uri": "x:b"}))["result"] == {}
        async with getting(served, session) as stream:
            await stream.until(2)
            source.change("x:a")
            await stream.until(3)
        assert [event.message for event in stream.events[1:]] == [
            {"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": "x:a"}},
            {"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": "x:a"}},
        ]
        # when the session ends, then nothing is wanted any more
        await http.delete(served.url, headers=session.headers)
        await until(lambda: source.heard == [])


async def test_a_stream_waits_where_all_that_it_had_to_tell_is_not_wanted_any_more() -> None:
    there = made()
    source = Source(there)
    async with serving(there, ping=0.02) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        await session.request("resources/subscribe", {"uri": "x:a"})
        # when the newest thing there was to tell is taken back before it was told
        source.change("x:a")
        await session.request("resources/unsubscribe", {"uri": "x:a"})
        # then a stream says nothing of it, and keeps nobody waiting
        async with getting(served, session) as stream:
            await stream.until(1, pings=2)
            assert (await session.request("ping", id=2))["result"] == {}
        assert [event.message for event in stream.events] == [None]


async def test_nobody_is_told_what_may_not_be_read_when_it_is_delivered() -> None:
    there = made()
    source = Source(there)
    wanted: JsonObject = {"resourceSubscriptions": ["x:a", "x:b"]}
    async with serving(there) as served, client() as http, listening(served, "ALICE", wanted) as stream:
        session = await Raw(served, http, "ALICE").open()
        for uri in ("x:a", "x:b"):
            await session.request("resources/subscribe", {"uri": uri})
        source.change("x:a")
        there.policy.grants["alice"].discard("resource:up/x:a")
        source.change("x:b")
        async with getting(served, session) as notices:
            assert [event.message["params"] for event in (await notices.until(2)) if event.message] == [{"uri": "x:b"}]
        (acknowledged, told) = await stream.until(2)
    meta = {"io.modelcontextprotocol/subscriptionId": 1}
    assert acknowledged.message is not None
    assert acknowledged.message["params"] == {"_meta": meta, "notifications": wanted}
    assert told.message == {"jsonrpc": "2.0", "method": UPDATED, "params": {"_meta": meta, "uri": "x:b"}}
    # and the stream's wants ended with it
    await until(lambda: source.heard == [])


async def test_a_subscription_whose_outcome_is_not_recorded_is_none() -> None:
    there = made()
    source = Source(there)

    async def unrecorded(call: Call, params: JsonObject, listener: Listener) -> Reply:
        reply = await source(call, params, listener)
        there.record.down = True
        return reply

    async with serving(there) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        await session.request("resources/subscribe", {"uri": "x:b"})
        there.upstreams.behaviours["resource:up/x:a"] = unrecorded
        refused = await session.request("resources/subscribe", {"uri": "x:a"})
        assert refused["error"]["data"]["reason"] == "record-unavailable"
        assert [uri for uri, _ in source.heard] == ["x:b"]


async def test_a_stream_that_is_told_without_end_ends_with_the_token_of_its_owner() -> None:
    there, tokens, told, revoked = made(), Tokens("alice", "bob"), count(), list[str]()
    source = Source(there)
    message = request("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["x:a"]}})
    current = Current(generation_of(there, tokens))
    sender = current.sender(lambda authenticator: authenticator.bearer("ALICE"))

    async def deliver(method: str, _params: JsonObject) -> None:
        # given that a resource changes again whenever that is told
        assert next(told) < 100
        source.change("x:a")
        if method.endswith("updated") and not revoked:
            revoked.append("alice")
            tokens.revoke("alice")

    caller = Caller(sender.credential, "http", MODERN)
    asked = Request(1, sender, caller, read(json.dumps(message).encode()), deliver)
    with anyio.fail_after(PATIENCE):
        result = await listen(asked, current, Closing())
    assert result["resultType"] == "complete"


async def test_hidden_and_unknown_are_the_same_and_reach_no_upstream() -> None:
    there = made()
    async with serving(there) as served, client() as http:
        session = await Raw(served, http, "BOB").open()
        answers = [
            await session.post({"jsonrpc": "2.0", "id": 3, "method": f"resources/{verb}", "params": {"uri": uri}})
            for verb in ("subscribe", "unsubscribe")
            for uri in ("x:a", "x:z")
        ]
        wanted: JsonObject = {"resourceSubscriptions": ["x:a", "x:z"], "toolsListChanged": True}
        async with listening(served, "BOB", wanted) as stream:
            (acknowledged,) = await stream.until(1)
    subscribed, unsubscribed = answers[:2], answers[2:]
    for hidden, unknown in (subscribed, unsubscribed):
        assert hidden.content.replace(b"x:a", b"x:z") == unknown.content
    assert b'"code":-32002' in subscribed[0].content
    assert acknowledged.message is not None
    assert acknowledged.message["params"]["notifications"] == {"toolsListChanged": True, "resourceSubscriptions": []}
    assert there.upstreams.calls == []


@pytest.mark.parametrize("uris", ["x:a", [1], [None], {"x:a": True}, ["x:a"] * (MOST + 1)])
async def test_a_filter_of_another_shape_is_refused(uris: object) -> None:
    there = made()
    async with serving(there) as served:
        answer = await post(served, request("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}}))
    assert answer.json()["error"]["code"] == -32602
    assert there.record.refused() == [("subscriptions/listen", -32602)]
    assert (there.record.intents, there.upstreams.calls) == ([], [])


async def test_a_modern_client_has_no_method_of_its_own_for_it() -> None:
    there = made()
    async with serving(there) as served:
        answer = await post(served, request("resources/subscribe", {"uri": "x:a"}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, -32601)


async def test_subscriptions_of_a_session_are_bounded() -> None:
    there = made()
    source = Source(there)
    async with serving(there) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        await session.request("resources/subscribe", {"uri": "x:a"})
        ((_, watched),) = source.heard
        for number in range(MOST - 1):
            watched.heard(f"x:{number}", lambda: None)
        more = await session.request("resources/subscribe", {"uri": "x:b"})
        again = await session.request("resources/subscribe", {"uri": "x:a"})
    assert more["error"]["code"] == -32602
    assert again["result"] == {}
    assert there.record.refused() == [("resources/subscribe", -32602)]
