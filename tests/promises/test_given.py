"""Credentials that only a person can give, through a real server: asked for in the middle of a call, in both eras."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
import pytest_asyncio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from shim.model import JsonObject
from tests.promises.running import Running, identity, run, serving, token, write_config
from tests.promises.wire import HttpPeer, http
from tests.secrets.persons import giving
from tests.upstream import web
from tests.upstream.web import Request, Web

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL: JsonObject = {"elicitation": {"url": {}}}
VALUE = "canary-of-{}-7f3a9c51"


@dataclass
class Whole:
    """The server, its one upstream, and everything that reached a client."""

    shim: Running
    upstream: Web
    config: Path
    said: list[str]

    def keys(self) -> list[str | None]:
        """What the upstream was handed with each call, in order."""
        return [request.headers.get("x-key") for request in self.upstream.asked("tools/call")]

    async def give(self, url: str, who: str) -> None:
        """What the page does, in another process than the server."""
        base, _, ticket = url.rpartition("/")
        assert base == self.shim.url.removesuffix("/mcp") + "/give"
        async with giving(self.config) as giver:
            want = giver.want(ticket)
            assert want is not None
            assert (want.identity, want.secret, want.prompt) == (who, "key", "A token of the tracker")
            await giver.give(ticket, who, VALUE.format(who))

    async def call(self, peer: HttpPeer, capabilities: JsonObject, tool: str = "up__echo", **more: Any) -> JsonObject:
        meta = {"io.modelcontextprotocol/clientCapabilities": capabilities}
        answer = await peer.request("tools/call", {"name": tool, "arguments": {}, "_meta": meta, **more})
        self.said.append(json.dumps(answer))
        result: JsonObject = answer["result"]
        return result

    async def rows(self, who: str) -> list[JsonObject]:
        code, out, err = await run(self.config, "log", "export", "--format", "jsonl")
        assert code == 0, err
        self.said.append(out)
        return [row for row in map(json.loads, out.splitlines()) if row["identity"] == who]

    async def events(self, id_: str) -> list[str]:
        code, out, err = await run(self.config, "log", "show", id_, "--json")
        assert code == 0, err
        self.said.append(out)
        return [event["kind"] for event in json.loads(out)["events"]]


def picky(request: Request, goes_on: Callable[[Request], None] = lambda request: request.say("in")) -> None:
    """What takes no old key."""
    if "stale" in request.headers.get("x-key", ""):
        request.respond(401)
    else:
        goes_on(request)


@asynccontextmanager
async def whole(folder: Path) -> AsyncIterator[Whole]:
    async with web.serving("modern", picky=picky) as upstream, web.serving("legacy") as old:
        old.extra["initialize"] = lambda request: picky(request, old.on_initialize)
        names = ("ann", "ben", "cid", "dan", "eve", "fay", "gus")
        config = write_config(
            folder,
            f"""version: 1
store: sqlite:shim.db
upstreams:
  up: {{url: {upstream.url}, headers: {{X-Key: "${{secret:key}}"}}}}
  old: {{url: {old.url}, headers: {{X-Key: "${{secret:key}}"}}}}
identities:
{"".join(identity(name) for name in names)}grants:
  - {{name: all, to: ["*"], allow: ["up/*", "old/*"]}}
secret_sources:
  people: {{type: user, key: "file:people.key"}}
secrets:
  key: {{source: people, prompt: A token of the tracker}}
""",
        )
        async with serving(config) as shim:
            yield Whole(shim, upstream, config, [])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    ready: asyncio.Future[Whole] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def live() -> None:
        async with whole(tmp_path_factory.mktemp("given")) as made:
            ready.set_result(made)
            await done.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(live())
        yield await ready
        done.set()


def the_question(result: JsonObject) -> tuple[str, str, str]:
    """The name of the one question, and the message and address in it."""
    assert result["resultType"] == "input_required"
    ((name, request),) = result["inputRequests"].items()
    assert request["method"] == "elicitation/create"
    params = request["params"]
    assert params.keys() == {"mode", "message", "url"}
    assert params["mode"] == "url"
    return name, params["message"], params["url"]


def reason(result: JsonObject) -> tuple[str, str]:
    said = result["_meta"]["io.github.mcp-shim/decision"]
    assert result["isError"] is True
    return said["decision"], said["reason"]


async def test_a_call_leads_its_person_to_the_page_and_goes_on(made: Whole) -> None:
    async with http(made.shim.url, "modern", token=token("ann")) as peer:
        # given a call that needs what nobody gave
        asked = await made.call(peer, URL)
        name, message, url = the_question(asked)
        assert message == (
            "up/echo needs your credential key, which you give at a page of this server: A token of the tracker"
        )
        assert not made.keys()
        # when the client has led its person there, who gives it while the call waits
        answer = {"inputResponses": {name: {"action": "accept"}}, "requestState": asked["requestState"]}
        going_on = asyncio.ensure_future(made.call(peer, URL, **answer))
        await made.give(url, "ann")
        # then the call goes on with it
        assert "isError" not in await going_on
        assert "isError" not in await made.call(peer, URL)
    assert made.keys() == [VALUE.format("ann")] * 2
    first, second = await made.rows("ann")
    assert [row["status"] for row in (first, second)] == ["ok", "ok"]
    assert [secret["name"] for secret in first["secrets"]] == ["key"]
    assert await made.events(first["id"]) == ["intent", "secret.asked", "secret.answered", "lease.issued", "outcome"]
    assert "secret.asked" not in await made.events(second["id"])


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_person_may_decline(made: Whole, action: str) -> None:
    async with http(made.shim.url, "modern", token=token("ben")) as peer:
        asked = await made.call(peer, URL)
        name, _, _ = the_question(asked)
        before = len(made.keys())
        answer = {"inputResponses": {name: {"action": action}}, "requestState": asked["requestState"]}
        result = await made.call(peer, URL, **answer)
    assert reason(result) == ("allow", "secret-unavailable")
    text = result["content"][0]["text"]
    assert ("declined" in text) == (action == "decline")
    assert ("/give/" in text) == (action == "cancel")
    assert len(made.keys()) == before


async def test_a_client_that_cannot_be_asked_is_told_where(made: Whole) -> None:
    async with http(made.shim.url, "modern", token=token("cid")) as peer:
        incapable: list[JsonObject] = [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}]
        for capabilities in incapable:
            refused = await made.call(peer, capabilities)
            assert reason(refused) == ("allow", "secret-unavailable")
        text = refused["content"][0]["text"]
        url = next(word for word in text.split() if "/give/" in word)
        await made.give(url, "cid")
        assert "isError" not in await made.call(peer, {})
    assert made.keys()[-1] == VALUE.format("cid")
    row = (await made.rows("cid"))[0]
    assert row["error"] == "secret-unavailable: The secret key is not available: the person has not given it yet."
    assert "/give/" not in json.dumps(row)


async def test_a_legacy_client_is_asked_too(made: Whole) -> None:
    asked: list[types.ElicitRequestURLParams] = []
    done: asyncio.Queue[str | None] = asyncio.Queue()

    async def hear(message: Any) -> None:
        if isinstance(message, types.ElicitCompleteNotification):
            done.put_nowait(message.params.elicitation_id)

    async def elicit(_: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        assert isinstance(params, types.ElicitRequestURLParams)
        asked.append(params)
        await made.give(params.url, "dan")
        return types.ElicitResult(action="accept")

    answers: dict[str, Any] = {"mode": "legacy", "elicitation_callback": elicit, "message_handler": hear}
    headers = {"authorization": f"Bearer {token('dan')}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as client,
        Client(streamable_http_client(made.shim.url, http_client=client), **answers) as opened,
    ):
        result = await opened.call_tool("up__echo", {})
        assert not result.is_error
        assert [await asyncio.wait_for(done.get(), 10)] == [params.elicitation_id for params in asked]
    assert made.keys()[-1] == VALUE.format("dan")


@pytest.mark.parametrize(
    ("who", "tool", "failed"),
    [("eve", "up__picky", "upstream-error"), ("fay", "old__echo", "upstream-unavailable")],
    ids=["in a call", "when a session is opened"],
)
async def test_what_the_upstream_does_not_accept_is_asked_for_at_the_next_call(
    made: Whole, who: str, tool: str, failed: str
) -> None:
    async with http(made.shim.url, "modern", token=token(who)) as peer:
        refused = await made.call(peer, {}, tool)
        url = next(word for word in refused["content"][0]["text"].split() if "/give/" in word)
        async with giving(made.config) as giver:
            await giver.give(url.rpartition("/")[2], who, "canary-stale-7f3a9c51")
        assert reason(await made.call(peer, {}, tool)) == ("allow", failed)
        assert reason(await made.call(peer, {}, tool)) == ("allow", "secret-unavailable")
        name, _, url = the_question(asked := await made.call(peer, URL, tool))
        await made.give(url, who)
        answer = {"inputResponses": {name: {"action": "accept"}}, "requestState": asked["requestState"]}
        assert "isError" not in await made.call(peer, URL, tool, **answer)


async def test_what_people_gave_is_listed_and_forgotten_while_the_server_runs(made: Whole) -> None:
    async with http(made.shim.url, "modern", token=token("gus")) as peer:
        url = next(word for word in (await made.call(peer, {}))["content"][0]["text"].split() if "/give/" in word)
        await made.give(url, "gus")
        assert "isError" not in await made.call(peer, {})
        code, out, err = await run(made.config, "secrets", "given", "--json")
        assert code == 0, err
        (row,) = (row for row in json.loads(out) if row["identity"] == "gus")
        assert list(row) == ["identity", "secret", "source", "created", "expires", "refreshed"]
        assert (row["secret"], row["source"], row["expires"]) == ("key", "people", None)
        code, shown, err = await run(made.config, "secrets", "given")
        assert code == 0, err
        made.said += [out, shown]
        for expected in (0, 1):
            code, out, err = await run(made.config, "secrets", "forget", "key", "--identity", "gus")
            assert code == expected, err
            assert ("gus gave no key" in err) == bool(expected)
        assert reason(await made.call(peer, {})) == ("allow", "secret-unavailable")


async def test_no_value_went_where_a_model_could_see_it(made: Whole) -> None:
    assert len(made.said) > 10
    assert not any("canary" in text for text in (*made.said, *made.shim.errors))
    assert b"canary" not in b"".join(path.read_bytes() for path in made.config.parent.glob("shim.db*"))
