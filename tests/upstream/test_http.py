"""Calls over streamable HTTP, both eras: headers, streams, cancellation, and what is never sent twice."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from shim.errors import OutcomeUnknown, ResultTooLarge, UpstreamFault, UpstreamTimeout, UpstreamUnavailable
from shim.upstream.config import UpstreamBlock
from tests.upstream.support import LEGACY, MODERN, Heard, running, text
from tests.upstream.web import Behaviour, Request, serving

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])


def http(url: str, **block: object) -> UpstreamBlock:
    return UpstreamBlock.model_validate({"url": url, **block})


@ERAS
async def test_the_era_is_found_and_calls_are_answered(era: str) -> None:
    async with serving(era) as web, running({"web": http(web.url)}) as run:
        offer = run.offer("web")
        reply = await run.call("web", "echo", {"a": 2**70})

    assert (offer.era, offer.protocol) == (era, MODERN if era == "modern" else LEGACY)
    assert json.loads(text(reply)) == {"a": 2**70}


async def test_a_modern_request_mirrors_its_body_in_its_headers() -> None:
    schema = {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
        },
    }
    async with serving("modern") as web, running({"web": http(web.url, headers={"X-Team": "a"})}) as run:
        arguments = {"region": "Zürich\r\nX-Evil: 1", "deep": {"n": 7}}
        await run.call("web", "outil-é", arguments, definition={"name": "outil-é", "inputSchema": schema})

        (request,) = web.asked("tools/call")
        assert request.headers["mcp-protocol-version"] == MODERN
        assert request.headers["mcp-method"] == "tools/call"
        assert request.headers["mcp-name"] == "=?base64?b3V0aWwtw6k=?="
        assert request.headers["mcp-param-region"].startswith("=?base64?")
        assert request.headers["mcp-param-n"] == "7"
        assert request.headers["x-team"] == "a"
        assert request.headers["accept"] == "application/json, text/event-stream"
        assert "x-evil" not in request.headers
        assert "mcp-session-id" not in request.headers


async def test_a_tool_with_an_invalid_mirroring_is_left_out() -> None:
    bad = {"name": "bad", "inputSchema": {"type": "object", "x-mcp-header": "Root"}}
    async with serving("modern") as web:
        web.definitions.append(bad)
        async with running({"web": http(web.url)}) as run:
            assert "bad" not in [tool["name"] for tool in run.offer("web").tools]


async def test_a_legacy_session_is_named_in_every_request_and_ended() -> None:
    async with serving("legacy") as web:
        async with running({"web": http(web.url)}) as run:
            await run.call("web", "echo", identity="alice")
            await run.call("web", "echo", identity="bob")
        calls = web.asked("tools/call")

        assert len({request.headers["mcp-session-id"] for request in calls}) == 2
        assert {request.headers["mcp-protocol-version"] for request in calls} == {LEGACY}
        assert "mcp-method" not in calls[0].headers
        # One more session is the shim's own, for the catalog; all of them are told goodbye.
        assert {request.headers["mcp-session-id"] for request in web.asked("DELETE")} == {"s1", "s2", "s3"}
        assert len(web.asked("notifications/initialized")) == 3


def streamed(request: Request) -> None:
    token = request.params.get("_meta", {}).get("progressToken")
    request.open_stream()
    request.chunk(b": hello\n\n")
    request.event({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
    request.event({"method": "notifications/message", "params": {"level": "error", "data": "x"}})
    request.event({"id": request.id, "result": {"content": [{"type": "text", "text": "streamed"}]}})
    request.close_stream()


@ERAS
async def test_notices_on_the_stream_of_a_call_reach_its_listener(era: str) -> None:
    heard = Heard()
    meta = {"progressToken": "t", "io.modelcontextprotocol/logLevel": "info"}
    async with serving(era, streamed=streamed) as web, running({"web": http(web.url)}) as run:
        for _ in range(3):
            assert text(await run.call("web", "streamed", meta=meta, heard=heard)) == "streamed"
        connections = web.connections

    assert [params["progress"] for params in heard.progressed] == [1, 1, 1]
    assert len(heard.logged) == 3
    # Event streams leave their connection usable: no new one for each call.
    assert connections <= 6


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 405, 429, 500, 502, 503])
async def test_an_http_status_is_named_and_nothing_is_sent_again(status: int) -> None:
    def refuse(request: Request) -> None:
        request.respond(status, b"<p>secret page</p>", "text/html", "WWW-Authenticate: Bearer x", "Location: /other")

    async with serving("modern", refuse=refuse) as web, running({"web": http(web.url)}) as run:
        with pytest.raises(UpstreamFault, match=f"HTTP status {status}") as caught:
            await run.call("web", "refuse")

        assert "secret" not in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)
        assert len(web.asked("tools/call")) == 1


async def test_an_error_in_the_body_of_a_refused_request_is_the_answer() -> None:
    def refuse(request: Request) -> None:
        error = {"code": -32602, "message": "Unknown tool: refuse"}
        request.respond(400, json.dumps({"jsonrpc": "2.0", "id": request.id, "error": error}).encode())

    async with serving("modern", refuse=refuse) as web, running({"web": http(web.url)}) as run:
        assert (await run.call("web", "refuse")).error == {"code": -32602, "message": "Unknown tool: refuse"}


def cut_before(request: Request) -> None:
    request.writer.transport.abort()


def cut_in_the_middle(request: Request) -> None:
    request.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{"jsonrpc"')
    request.writer.close()


def cut_stream(request: Request) -> None:
    request.open_stream()
    request.event({"method": "notifications/progress", "params": {}})
    request.writer.close()


def end_stream(request: Request) -> None:
    request.open_stream()
    request.close_stream()


def not_http(request: Request) -> None:
    request.write(b"220 smtp.example.com ESMTP\r\n\r\n")


def not_json(request: Request) -> None:
    request.respond(200, b'{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}')


def other_id(request: Request) -> None:
    request.respond(200, json.dumps({"jsonrpc": "2.0", "id": request.id + 1, "result": {}}).encode())


def page(request: Request) -> None:
    request.respond(200, b"<html>", "text/html")


def accepted(request: Request) -> None:
    request.respond(202)


def zipped(request: Request) -> None:
    request.respond(200, b"\x1f\x8b", "application/json", "content-encoding: gzip")


def endless_head(request: Request) -> None:
    request.write(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000 + b"\r\n")


def never(request: Request) -> None:
    """Say nothing."""


@pytest.mark.parametrize(
    ("behaviour", "fault", "words"),
    [
        (cut_before, OutcomeUnknown, "ended before it answered"),
        (cut_in_the_middle, OutcomeUnknown, "ended before it answered"),
        (cut_stream, OutcomeUnknown, "ended before it answered"),
        (end_stream, OutcomeUnknown, "ended before it answered"),
        (not_http, OutcomeUnknown, "is not HTTP: "),
        (endless_head, OutcomeUnknown, "has a head of more than 65536 bytes; the call may"),
        (not_json, UpstreamFault, "web"),
        (other_id, UpstreamFault, "web"),
        (page, UpstreamFault, "web"),
        (accepted, UpstreamFault, "web"),
        (zipped, UpstreamFault, "web"),
        (never, UpstreamTimeout, "web"),
    ],
)
@ERAS
async def test_what_is_no_answer_fails_that_call_and_is_sent_once(
    era: str, behaviour: Behaviour, fault: type[Exception], words: str
) -> None:
    async with serving(era, bad=behaviour) as web, running({"web": http(web.url, timeout="500ms")}) as run:
        with pytest.raises(fault, match=words):
            await run.call("web", "bad")

        assert len(web.asked("tools/call")) == 1
        assert text(await run.call("web", "echo", {})) == "{}"


def declared(request: Request) -> None:
    request.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n")


async def undeclared(request: Request) -> None:
    request.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(1600):
        request.chunk(b" " * 65536)
        await request.writer.drain()


async def one_event(request: Request) -> None:
    request.open_stream()
    request.chunk(b"data: ")
    for _ in range(1600):
        request.chunk(b"x" * 65536)
        await request.writer.drain()


@pytest.mark.parametrize("behaviour", [declared, undeclared, one_event])
async def test_reading_stops_at_the_limit(behaviour: Behaviour) -> None:
    block = {"max_result": "1MiB"}
    async with serving("modern", big=behaviour) as web, running({"web": http(web.url, **block)}) as run:
        with pytest.raises(ResultTooLarge):
            await run.call("web", "big")
        await asyncio.wait_for(web.closed.wait(), 5)
        assert text(await run.call("web", "echo", {})) == "{}"


@ERAS
async def test_cancelling_a_call_cancels_it_upstream_as_its_era_says(era: str) -> None:
    async with serving(era, never=never) as web, running({"web": http(web.url)}) as run:
        task = asyncio.create_task(run.call("web", "never"))
        await web.until(lambda: web.asked("tools/call"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(web.closed.wait(), 5)
        if era == "legacy":
            await web.until(lambda: web.asked("notifications/cancelled"))
            assert web.asked("notifications/cancelled")[0].params["requestId"] == web.asked("tools/call")[0].id
        else:
            assert web.asked("notifications/cancelled") == []


async def test_a_lost_legacy_session_is_opened_again_for_the_next_call_and_no_call_is_repeated() -> None:
    gone: set[str] = set()

    def forgetful(request: Request) -> None:
        session = request.headers["mcp-session-id"]
        request.respond(404) if session in gone else request.say(session)

    async with serving("legacy", forgetful=forgetful) as web, running({"web": http(web.url)}) as run:
        first = text(await run.call("web", "forgetful"))
        gone.add(first)
        with pytest.raises(UpstreamUnavailable, match="call again"):
            await run.call("web", "forgetful")

        assert len(web.asked("tools/call")) == 2
        assert text(await run.call("web", "forgetful")) != first


async def test_a_broken_legacy_stream_is_resumed_not_repeated() -> None:
    def broken(request: Request) -> None:
        request.open_stream()
        request.chunk(b"retry: 100\nid: e7\ndata:\n\n")
        request.writer.close()

    async with serving("legacy", broken=broken) as web:

        def get(request: Request) -> None:
            if request.headers.get("last-event-id") != "e7":
                web.on_get(request)
                return
            request.open_stream()
            call = web.asked("tools/call")[0]
            request.event({"id": call.id, "result": {"content": [{"type": "text", "text": "the rest"}]}})

        web.extra["GET"] = get
        async with running({"web": http(web.url)}) as run:
            assert text(await run.call("web", "broken")) == "the rest"
            assert len(web.asked("tools/call")) == 1


async def test_a_legacy_upstream_that_asks_is_refused_on_either_stream() -> None:
    async with serving("legacy") as web:

        async def asks(request: Request) -> None:
            request.open_stream()
            request.event({"id": "on-call", "method": "elicitation/create", "params": {}})
            for standing in web.standing:
                standing.event({"id": "on-get", "method": "roots/list", "params": {}})
            await web.until(lambda: sum("error" in seen.message for seen in web.seen) == 3)
            request.event({"id": request.id, "result": {"content": [{"type": "text", "text": "refused"}]}})

        web.tools["asks"] = asks
        async with running({"web": http(web.url)}) as run:
            assert text(await run.call("web", "asks")) == "refused"
            await run.until(lambda: len(run.events) == 3)

        answers = [request.message for request in web.seen if "error" in request.message]
        assert {answer["error"]["code"] for answer in answers} == {-32601}
        asked = {(body["method"], invocation) for _, body, invocation in run.events}
        assert ("elicitation/create", "inv-asks") in asked
        assert ("roots/list", None) in asked


@ERAS
async def test_what_answers_one_post_never_answers_another(era: str) -> None:
    held: list[Request] = []

    def holds(request: Request) -> None:
        held.append(request)

    def misdirects(request: Request) -> None:
        request.respond(200, json.dumps({"jsonrpc": "2.0", "id": held[0].id, "result": {"content": []}}).encode())

    async with serving(era, holds=holds, misdirects=misdirects) as web, running({"web": http(web.url)}) as run:
        # given a call in flight
        victim = asyncio.create_task(run.call("web", "holds"))
        await web.until(lambda: held)

        # when another is answered under its id
        with pytest.raises(UpstreamFault, match="something else than the answer"):
            await run.call("web", "misdirects")

        # then the first gets what answers itself
        held[0].say("mine")
        assert text(await victim) == "mine"


async def test_a_standing_stream_does_not_answer_a_call_whose_own_stream_is_open() -> None:
    async with serving("legacy") as web:

        async def twice(request: Request) -> None:
            for standing in web.standing:
                standing.event({"id": request.id, "result": {"content": [{"type": "text", "text": "not here"}]}})
                standing.event({"id": "asked", "method": "ping"})
            await web.until(lambda: sum(seen.id == "asked" for seen in web.seen) == len(web.standing))
            request.say("here")

        web.tools["twice"] = twice
        async with running({"web": http(web.url, isolation="shared")}) as run:
            assert text(await run.call("web", "twice")) == "here"


async def test_nothing_is_sent_to_an_upstream_that_refuses_connections() -> None:
    async with serving("modern") as web:
        url = web.url
    began = time.monotonic()
    async with running({"web": http(url)}) as run:
        assert run.upstreams.status()["web"].state == "down"
        with pytest.raises(UpstreamUnavailable, match="it refuses connections"):
            await run.call("web", "echo")
    assert time.monotonic() - began < 5


async def test_a_change_of_tools_is_heard_over_a_subscription() -> None:
    async with serving("modern") as web, running({"web": http(web.url)}) as run:
        await web.until(lambda: web.standing)
        web.definitions.append({"name": "new", "inputSchema": {}})
        for _ in range(50):
            web.standing[0].event({"method": "notifications/tools/list_changed", "params": {}})
        await run.until(lambda: "new" in [tool["name"] for tool in run.offer("web").tools])

        assert web.asked("subscriptions/listen")[0].params["notifications"] == {"toolsListChanged": True}
        assert len(web.asked("tools/list")) <= 3


async def test_a_change_that_came_before_the_subscription_began_is_read() -> None:
    async with serving("modern") as web:

        def begins_late(request: Request) -> None:
            web.definitions.append({"name": "new", "inputSchema": {}})
            web.on_subscriptions_listen(request)

        web.extra["subscriptions/listen"] = begins_late
        async with running({"web": http(web.url)}) as run:
            await run.until(lambda: "new" in [tool["name"] for tool in run.offer("web").tools])


async def test_a_change_of_tools_is_heard_on_a_legacy_get_stream() -> None:
    async with serving("legacy") as web, running({"web": http(web.url)}) as run:
        web.definitions.append({"name": "new", "inputSchema": {}})
        web.standing[0].event({"method": "notifications/tools/list_changed"})
        await run.until(lambda: "new" in [tool["name"] for tool in run.offer("web").tools])


async def test_an_argument_that_no_header_can_carry_is_the_upstreams_to_refuse() -> None:
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    async with serving("modern") as web, running({"web": http(web.url)}) as run:
        definition = {"name": "echo", "inputSchema": schema}
        reply = await run.call("web", "echo", {"region": "\ud800"}, definition=definition)

        assert json.loads(text(reply)) == {"region": "\ud800"}
        assert "mcp-param-region" not in web.asked("tools/call")[0].headers
