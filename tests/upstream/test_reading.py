"""Reading all that an upstream offers, and what a list that is missing or broken costs: itself, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from shim.lending import Leased
from shim.model import Call, Caller, Credential, Identity, JsonObject, Offered, Prompt, Resource
from shim.upstream import attendant, inbox
from shim.upstream.config import UpstreamBlock
from tests.upstream import web as servers
from tests.upstream.support import Heard, Running, running
from tests.upstream.web import Request, Web, serving

ALL: JsonObject = {
    "tools": {},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True},
    "completions": {},
    "logging": {},
}


@pytest.fixture
def capabilities(monkeypatch: pytest.MonkeyPatch) -> JsonObject:
    """What the test server says that it can do."""
    found = dict(ALL)
    monkeypatch.setattr(servers, "CAPABILITIES", found)
    return found


def pages(member: str, *texts: str) -> servers.Behaviour:
    """A list of one definition a page."""

    def answer(request: Request) -> None:
        at = int(request.params.get("cursor", 0))
        more = {"nextCursor": str(at + 1)} if at + 1 < len(texts) else {}
        request.result({member: [json.loads(texts[at])], "ttlMs": 60_000, "cacheScope": "public", **more})

    return answer


@pytest.mark.parametrize("ttl", [10**400, -(10**400)], ids=["huge", "negative"])
async def test_a_ttl_of_any_size_keeps_no_upstream_down(ttl: int) -> None:
    async with serving("modern") as web:
        web.extra["tools/list"] = lambda request: request.result({"tools": [], "ttlMs": ttl, "cacheScope": "public"})
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            assert run.upstreams.status()["web"].state == "up"


def fails(code: int) -> servers.Behaviour:
    return lambda request: request.error(code)


def library(web: Web) -> None:
    web.extra["prompts/list"] = pages("prompts", '{"name": "p", "x": null}', '{"name": "q"}')
    web.extra["resources/list"] = pages("resources", '{"uri": "x:1", "name": "one"}')
    web.extra["resources/templates/list"] = pages("resourceTemplates", '{"uriTemplate": "x:{n}", "name": "t"}')


@pytest.mark.usefixtures("capabilities")
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_all_lists_are_read_with_all_their_pages(era: str) -> None:
    async with serving(era) as web:
        library(web)
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            offer = run.offer("web")
    assert offer.prompts == ({"name": "p", "x": None}, {"name": "q"})
    assert offer.resources == ({"uri": "x:1", "name": "one"},)
    assert offer.templates == ({"uriTemplate": "x:{n}", "name": "t"},)
    assert [tool["name"] for tool in offer.tools] == ["echo"]


@pytest.mark.usefixtures("capabilities")
async def test_a_list_that_never_comes_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendant, "_READING", 0.4)
    async with serving("modern") as web:
        library(web)
        web.extra["resources/list"] = lambda _: None
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            assert run.upstreams.status()["web"].state == "up"
            offer = run.offer("web")
    assert [tool["name"] for tool in offer.tools] == ["echo"]
    assert offer.resources == ()
    assert len(offer.prompts) == 2
    assert len(offer.templates) == 1


async def test_a_list_that_is_not_declared_is_not_asked_for(capabilities: JsonObject) -> None:
    del capabilities["prompts"], capabilities["resources"]
    async with serving("modern") as web:
        library(web)
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            assert (run.offer("web").prompts, run.offer("web").resources) == ((), ())
        assert not [one for one in web.seen if one.message.get("method", "").startswith(("prompts", "resources"))]


@pytest.mark.usefixtures("capabilities")
async def test_a_list_that_fails_is_empty_and_the_rest_is_there(caplog: pytest.LogCaptureFixture) -> None:
    async with serving("modern") as web:
        library(web)
        web.extra["prompts/list"] = fails(-32603)
        web.extra["resources/templates/list"] = fails(-32601)
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            offer = run.offer("web")
            assert run.upstreams.status()["web"].state == "up"
    assert (offer.prompts, len(offer.resources), offer.templates) == ((), 1, ())
    assert "refused to list its prompts (error -32603). Its prompts are left out." in caplog.text
    assert "templates" not in caplog.text


@pytest.mark.usefixtures("capabilities")
@pytest.mark.parametrize("kind", [kind for kind in inbox.LISTS if kind != "tools"])
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_notice_of_change_has_the_lists_read_again(era: str, kind: str) -> None:
    async with serving(era) as web:
        library(web)
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            await run.until(lambda: bool(web.standing))
            if era == "modern":
                asked = next(one for one in web.seen if one.message.get("method") == "subscriptions/listen")
                wanted = {"promptsListChanged": True, "resourcesListChanged": True}
                assert asked.params["notifications"] == wanted
            web.extra["prompts/list"] = pages("prompts", '{"name": "new"}')
            web.standing[0].event({"method": f"notifications/{kind}/list_changed", "params": {}})
            await run.until(lambda: run.offer("web").prompts == ({"name": "new"},))


def use(method: str, ref: str) -> Call:
    caller = Caller(Credential(Identity("alice"), "token"), "http", "2026-07-28")
    return Call("inv", caller, "run", method, ref, "web", {}, datetime(2026, 8, 1, tzinfo=UTC), "p")


async def sent(run: Running, method: str, target: Offered, params: JsonObject) -> JsonObject:
    reply = await run.upstreams.call(use(method, target.ref), target, params, Heard(), Leased())
    assert reply.result is not None
    return {key: value for key, value in reply.result.items() if key != "resultType"}


async def test_uses_go_out_under_their_method_with_their_name_in_a_header(capabilities: JsonObject) -> None:
    prompt = Prompt("web", "größer", "w", {}, "0")
    resource = Resource("web", "x:é", "x:é", {}, "0")
    completing: JsonObject = {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}}
    async with serving("modern") as web:
        library(web)
        for method in ("prompts/get", "resources/read", "completion/complete"):
            web.extra[method] = lambda request: request.result({"got": request.params.get("uri")})
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            assert await sent(run, "resources/read", resource, {"uri": "x:é"}) == {"got": "x:é"}
            assert await sent(run, "prompts/get", prompt, {"name": "größer"}) == {"got": None}
            assert await sent(run, "completion/complete", prompt, completing) == {"got": None}
        names = {one.message["method"]: one.headers.get("mcp-name") for one in web.seen if one.message.get("method")}
        assert (names["resources/read"], names["prompts/get"]) == ("=?base64?eDrDqQ==?=", "=?base64?Z3LDtsOfZXI=?=")
        assert names["completion/complete"] is None
        del capabilities["completions"]
    async with serving("modern") as web:
        async with running({"web": UpstreamBlock(url=web.url)}) as run:
            # One that completes nothing is not asked to: the shim says for all together that it does.
            answer = await sent(run, "completion/complete", prompt, completing)
        assert answer == {"completion": {"values": [], "total": 0, "hasMore": False}}
        assert not [one for one in web.seen if one.message.get("method") == "completion/complete"]
