"""What is not a client's own, right and timely answer is refused, on the record, and never runs a tool again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest

from shim.model import JsonObject
from tests.parts.fixtures import legacy_python
from tests.promises.bridging import Bridge, Person, asked_of, bridge, client, events
from tests.promises.running import SHIM, environment, token
from tests.promises.wire import HttpPeer, http, stdio

__all__ = ["legacy_python"]

CAPABLE: JsonObject = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
UPSTREAMS = ["legacy-stdio", "legacy-http", "modern-stdio", "modern-http"]
MODERN_HTTP = ["legacy-http", "modern-stdio"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, legacy_python: Path) -> Iterator[Bridge]:
    with bridge(tmp_path_factory.mktemp("refusals"), legacy_python) as made:
        yield made


def called(upstream: str, tool: str, who: str, capabilities: JsonObject = CAPABLE, **params: Any) -> JsonObject:
    meta = {"io.modelcontextprotocol/clientCapabilities": capabilities}
    return {"name": f"{upstream}__{tool}", "arguments": {"who": who}, "_meta": meta, **params}


async def call(
    peer: HttpPeer, upstream: str, tool: str, who: str, capabilities: JsonObject = CAPABLE, **params: Any
) -> JsonObject:
    """The whole response to a `tools/call` of a client with these capabilities."""
    return await peer.request("tools/call", called(upstream, tool, who, capabilities, **params))


def state(answer: JsonObject) -> str:
    assert answer["result"]["resultType"] == "input_required", answer
    found: str = answer["result"]["requestState"]
    return found


def yes(answer: JsonObject, value: str = "v") -> JsonObject:
    accepted = {"action": "accept", "content": {"value": value}}
    return dict.fromkeys(answer["result"]["inputRequests"], accepted)


def text(answer: JsonObject) -> str:
    found: str = answer["result"]["content"][0]["text"]
    return found


@asynccontextmanager
async def raw(made: Bridge, name: str = "caller-0") -> AsyncIterator[HttpPeer]:
    async with http(made.url, "modern", token=token(name)) as peer:
        yield peer


async def until(made: Bridge, kind: str, of: str | None = None, **body: Any) -> str:
    """Wait for the first event of a kind whose body says this, `of` an invocation if one is named: its invocation."""
    follow = ["log", "export", "--events", "--format", "jsonl", "--follow", "--config", str(made.config)]
    process = await asyncio.create_subprocess_exec(
        SHIM, *follow, env=environment(made.folder), stdout=asyncio.subprocess.PIPE, limit=2**24
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            while line := await process.stdout.readline():
                event: JsonObject = json.loads(json.loads(line)["event"])
                if (
                    event["kind"] == kind
                    and of in (None, event["invocation"])
                    and body.items() <= event["body"].items()
                ):
                    return str(event["invocation"])
    finally:
        process.kill()
        await process.wait()
    raise AssertionError(f"no {kind} with {body}")


@pytest.mark.parametrize("upstream", MODERN_HTTP)
async def test_only_the_same_request_of_the_same_identity_goes_on(upstream: str, made: Bridge) -> None:
    who = f"bound-{upstream}"
    async with raw(made) as peer, raw(made, "caller-1") as other:
        first = await call(peer, upstream, "form", who)
        sealed: JsonObject = {"requestState": state(first), "inputResponses": yes(first)}
        tampered = {**sealed, "requestState": sealed["requestState"][:-4] + "AAAA"}
        refusals = [
            (await call(other, upstream, "form", who, **sealed), "somebody else"),
            (await call(peer, upstream, "form", "another", **sealed), "another request"),
            (await call(peer, upstream, "twice", who, **sealed), "another request"),
            (await call(peer, upstream, "form", who, **tampered), "not one that this server gave"),
            (await call(peer, upstream, "form", who, requestState=7, inputResponses=yes(first)), "must be a string"),
            (await call(peer, upstream, "form", who, **{**sealed, "inputResponses": 7}), "object of objects"),
        ]
        hidden = await call(peer, "nothing", "form", who, **sealed)
        done = await call(peer, upstream, "form", who, **sealed)
        again = await call(peer, upstream, "form", who, **sealed)
    for answer, why in [*refusals, (hidden, "another request"), (again, "the call is over")]:
        assert answer["error"]["code"] == -32602
        assert why in answer["error"]["message"]
    assert text(done) == f"{who}=accept:v"
    # one call, whose one repeat a modern upstream itself asked for
    assert made.runs(upstream, who) == ["form"] * (2 if upstream.startswith("modern") else 1)
    refused = [event["body"]["message"] for event in events(made) if event["kind"] == "request.refused"]
    for why in ("somebody else", "another request", "not one that this server gave", "the call is over"):
        assert any(why in message for message in refused)


async def test_who_answers_too_late_is_refused_and_the_tool_heard_that_nobody_came(made: Bridge) -> None:
    async with raw(made) as peer:
        first = await call(peer, "brief-legacy", "form", "late")
        invocation = await until(made, "intent", tool="brief-legacy/form")
        await until(made, "outcome", invocation, status="ok")
        late = await call(peer, "brief-legacy", "form", "late", requestState=state(first), inputResponses=yes(first))
    assert "refused, and nothing was run" in late["error"]["message"]
    answered = [body["action"] for body in asked_of(made, "upstream.answered") if body["of"] == invocation]
    assert answered == ["none"]
    assert made.runs("brief-legacy", "late") == ["form"]


@pytest.mark.parametrize("upstream", MODERN_HTTP)
async def test_another_process_refuses_what_it_does_not_hold(upstream: str, made: Bridge) -> None:
    argv = [SHIM, "stdio", "--identity", "caller-0", "--config", str(made.config)]
    async with raw(made) as peer, stdio(argv, "modern", env=environment(made.folder)) as elsewhere:
        first = await call(peer, upstream, "form", f"elsewhere-{upstream}")
        sealed: JsonObject = {"requestState": state(first), "inputResponses": yes(first)}
        answer = await elsewhere.request("tools/call", called(upstream, "form", f"elsewhere-{upstream}", **sealed))
        assert "another process of this server" in answer["error"]["message"]
        done = await call(peer, upstream, "form", f"elsewhere-{upstream}", **sealed)
    assert text(done).endswith("=accept:v")


@pytest.mark.parametrize("upstream", MODERN_HTTP)
@pytest.mark.parametrize("rounds", [0, 1])
async def test_a_client_that_leaves_an_open_request_cancels_the_call(rounds: int, upstream: str, made: Bridge) -> None:
    tool, who = ("patient", "lasting")[rounds], f"leaves-{rounds}-{upstream}"
    more: JsonObject = {}
    async with raw(made) as peer:
        if rounds:
            first = await call(peer, upstream, tool, who)
            more = {"requestState": state(first), "inputResponses": yes(first)}
        leaving = asyncio.create_task(call(peer, upstream, tool, who, **more))
        invocation = await until(made, "intent", tool=f"{upstream}/{tool}")
        if rounds:
            await until(made, "upstream.answered", invocation, action="accept")
        leaving.cancel()
        await asyncio.wait([leaving])
    assert await until(made, "outcome", invocation, status="cancelled") == invocation


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_what_is_not_declared_or_not_granted_is_not_asked(upstream: str, made: Bridge) -> None:
    async with raw(made, "mute") as mute, raw(made, "formal") as formal, raw(made) as granted:
        answers = [
            await call(mute, upstream, "form", "mute"),
            await call(formal, upstream, "sample", "formal"),
            await call(granted, upstream, "form", "bare", {}),
            await call(granted, upstream, "roots", "some", {"sampling": {}}),
            await call(mute, upstream, "required", "mute"),
        ]
        # what it may ask beside that reaches the client
        assert state(await call(formal, upstream, "form", "formal"))
    for answer in answers:
        assert "not allowed here" in text(answer) or "may not ask for here" in text(answer)
    refused = [body["method"] for body in asked_of(made, "upstream.refused") if body["upstream"] == upstream]
    elicit = "elicitation/create"
    assert sorted(refused) == sorted([elicit, "sampling/createMessage", elicit, "roots/list", elicit])


async def test_an_error_of_a_legacy_client_fails_the_call_of_a_modern_upstream_clearly(made: Bridge) -> None:
    person = Person("caller-3")

    async def unwilling(_: Any, params: types.ElicitRequestParams) -> types.ErrorData:
        return types.ErrorData(code=-1, message="the person is asleep")

    person.elicit = unwilling  # type: ignore[method-assign,assignment]
    async with client(made, person, "legacy", "http") as opened:
        failed = await opened.call_tool("modern-http__form", {"who": "asleep"})
        told = await opened.call_tool("legacy-http__form", {"who": "asleep"})
    assert failed.is_error
    assert isinstance(failed.content[0], types.TextContent)
    assert "the person is asleep" in failed.content[0].text
    assert failed.meta is not None
    assert failed.meta["io.github.mcp-shim/decision"]["reason"] == "cancelled"
    # a legacy upstream gets the error itself
    assert isinstance(told.content[0], types.TextContent)
    assert told.content[0].text == "error:-1:the person is asleep"
