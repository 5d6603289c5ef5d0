"""The faces of prompts, resources and completions: headers, notices of change, what is refused unseen."""

from __future__ import annotations

import json
from itertools import count

import anyio
import httpx2
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from shim.model import Call, JsonObject, Listener, Offer, Reply
from tests.server.doubles import World, offer, world
from tests.server.running import client, post, request, routed, serving

SEEN = {"prompt:up/greet", "resource:up/x:\u00e9", "resource:up/x:new", "template:up/x:{n}", "prompt:up/new"}


def offers(prompts: tuple[str, ...] = ("greet", "secret"), uris: tuple[str, ...] = ("x:\u00e9", "y:secret")) -> Offer:
    return offer(
        [],
        prompts=[{"name": name} for name in prompts],
        resources=[{"uri": uri, "name": "r"} for uri in uris],
        templates=[{"uriTemplate": "x:{n}", "name": "t"}],
    )


async def answers(call: Call, params: JsonObject, listener: Listener) -> Reply:
    return Reply({"got": {key: value for key, value in params.items() if key != "_meta"}}, None, 1)


def made() -> World:
    found = world(grants={"alice": SEEN})
    found.catalog.learn(offers())
    found.upstreams.behaviours.update(dict.fromkeys(SEEN, answers))
    return found


def read(uri: str = "x:\u00e9") -> JsonObject:
    return request("resources/read", {"uri": uri})


async def test_the_name_of_a_prompt_and_the_uri_of_a_resource_stand_in_a_header_too() -> None:
    async with serving(made()) as served:
        right = await post(served, read())
        assert routed(read())["mcp-name"].startswith("=?base64?")
        for message in (read(), request("prompts/get", {"name": "up__greet"})):
            for name in (None, "other", "=?base64?!?="):
                headers = {key: value for key, value in routed(message).items() if key != "mcp-name"}
                wrong = await post(served, message, {**headers, "mcp-name": name} if name is not None else headers)
                assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, -32020)
        # A completion has no such header.
        ref = {"type": "ref/prompt", "name": "up__greet"}
        params = {"ref": ref, "argument": {"name": "a", "value": "b"}}
        completed = await post(served, request("completion/complete", params))
    result = right.json()["result"]
    assert (result["got"], result["ttlMs"], result["cacheScope"]) == ({"uri": "x:\u00e9"}, 0, "private")
    assert completed.json()["result"]["got"] == {**params, "ref": {**ref, "name": "greet"}}
    assert "ttlMs" not in completed.json()["result"]


async def test_hidden_and_unknown_are_the_same_also_when_nothing_can_be_recorded() -> None:
    there = made()
    pairs = [
        (read("y:secret"), read("y:nobody")),
        (request("prompts/get", {"name": "up__secret"}), request("prompts/get", {"name": "up__nobody"})),
    ]
    async with serving(there) as served:
        for down in (False, True):
            there.record.down = down
            for hidden, unknown in pairs:
                one, other = await post(served, hidden), await post(served, unknown)
                assert (one.status_code, one.content.replace(b"secret", b"nobody")) == (400, other.content)
        # What is visible is refused, without anybody being asked.
        visible = await post(served, read())
    assert visible.json()["error"]["code"] == -32010
    assert visible.json()["error"]["data"]["reason"] == "record-unavailable"
    assert there.upstreams.calls == []


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("resources/read", {}, -32602),
        ("resources/read", {"uri": 1}, -32020),
        ("resources/read", {"uri": "x:" + "a" * 3000}, -32602),
        ("resources/read", {"uri": "x:\u00e9", "URI": "y:secret"}, -32600),
        ("prompts/get", {"name": "up__greet", "arguments": []}, -32602),
        ("prompts/get", {"name": "up__greet", "n\u0430me\u0000": 1, "Name": "up__secret"}, -32600),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "up__greet"}}, -32602),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": "up__greet", "NAME": "secret"},
                "argument": {"name": "a", "value": ""},
            },
            -32600,
        ),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "up__greet", "uri": "x:1"}, "argument": {"name": "a", "value": ""}},
            -32602,
        ),
        ("resources/list", {"cursor": "mine"}, -32602),
        ("resources/templates/list", {"cursor": 1}, -32602),
        ("prompts/list", {"cursor": ""}, -32602),
    ],
)
async def test_what_has_another_shape_is_refused_and_on_the_record(method: str, params: JsonObject, code: int) -> None:
    there = made()
    async with serving(there) as served:
        answer = await post(served, request(method, params))
    assert answer.json()["error"]["code"] == code
    assert [entry[1] for entry in there.record.refused()] == [code]
    assert (there.record.intents, there.upstreams.calls) == ([], [])


async def test_a_modern_client_hears_of_the_lists_it_asked_for_and_of_what_it_may_see() -> None:
    there = made()
    wanted = {"promptsListChanged": True, "resourcesListChanged": True, "resourceSubscriptions": ["x:\u00e9"]}
    message = request("subscriptions/listen", {"notifications": wanted})
    heard: list[JsonObject] = []
    changes = [
        offers(("greet", "secret", "other")),  # nothing that she sees
        offers(("greet", "new", "secret")),
        offers(("greet", "new", "secret"), ("x:\u00e9", "x:new")),
    ]
    async with (
        serving(there) as served,
        client() as http,
        http.stream("POST", served.url, content=json.dumps(message).encode(), headers=routed(message)) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                heard.append(json.loads(line[5:]))
                if not changes:
                    break
                there.catalog.learn(changes.pop(0))
                if len(heard) == 1:
                    there.catalog.learn(changes.pop(0))
    assert heard[0]["params"]["notifications"] == wanted
    assert [one["method"] for one in heard[1:]] == [
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
    ]


async def test_a_legacy_client_hears_which_list_changed() -> None:
    there = made()
    heard: list[str] = []
    changed = anyio.Event()

    async def on_message(message: object) -> None:
        heard.append(type(message).__name__)
        changed.set()

    async with (
        serving(there) as served,
        httpx2.AsyncClient(headers={"authorization": "Bearer ALICE"}, trust_env=False) as http,
        streamable_http_client(served.url, http_client=http) as (reading, writing),
        ClientSession(reading, writing, message_handler=on_message) as session,
    ):
        await session.initialize()
        with anyio.fail_after(5):
            # The client opens the stream for announcements on its own time: change until it has heard of one.
            for version in count():
                listed = await session.list_resources()
                assert "x:\u00e9" in [one.uri for one in listed.resources]
                there.catalog.learn(offers(uris=("x:\u00e9", *(("x:new",) if version % 2 else ()))))
                if changed.is_set():
                    break
    assert set(heard) == {"ResourceListChangedNotification"}
