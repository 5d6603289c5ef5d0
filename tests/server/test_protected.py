"""What OAuth clients are told: challenges, the metadata page, and nothing of it where no JWTs are taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal

import anyio
import httpx2
import pytest

from shim.model import Credential, Decision, Identity, JsonObject, Reason
from shim.policy.conditions import Facts
from shim.server import http as http_face
from shim.server.config import JwtBlock, ServerBlock
from shim.server.protected import Protected
from tests.server.doubles import MemoryPolicy, Tokens, World, offer, world
from tests.server.running import (
    JSON_HEADERS,
    LEGACY,
    PATIENCE,
    Served,
    call,
    client,
    events,
    post,
    request,
    routed,
    serving,
)

JWT = JwtBlock(issuer="https://idp.test", audience="https://shim.test/mcp")
WELL_KNOWN = "/.well-known/oauth-protected-resource"
NEEDED = ("a.read", "a.write")


class Scoped(MemoryPolicy):
    """`up/echo` needs scopes, and so do prompts and resources."""

    def decide(self, identity: Identity, ref: str, facts: Facts) -> Decision:
        decision = super().decide(identity, ref, facts)
        if (ref == "up/echo" or ":" in ref) and decision.effect == "allow" and not facts.scopes.issuperset(NEEDED):
            return Decision("deny", Reason.INSUFFICIENT_SCOPE, "g", NEEDED)
        return decision


class WithScopes(Tokens):
    """`alice` comes with the scopes given; `bob` with a token that has none."""

    def __init__(self, scopes: frozenset[str]) -> None:
        super().__init__("alice", "bob")
        self._credentials["ALICE"] = Credential(self.identities["alice"], "jwt:{}", scopes=scopes)


def scoped() -> World:
    made = world()
    made.policy.__class__ = Scoped
    return made


@asynccontextmanager
async def protected(*scopes: str, url: str | None = None) -> AsyncIterator[Served]:
    block = ServerBlock(jwt=JWT, url=url)
    async with serving(scoped(), block=block, tokens=WithScopes(frozenset(scopes))) as served:
        yield served


async def get(served: Served, path: str, **headers: str) -> httpx2.Response:
    async with client() as http:
        return await http.get(served.url.removesuffix("/mcp") + path, headers=headers)


async def test_the_page_says_where_tokens_come_from() -> None:
    async with protected() as served:
        served.face.current.replace(replace(served.face.current.now, scopes=("base",)))
        pages = [await get(served, path) for path in (WELL_KNOWN, f"{WELL_KNOWN}/mcp")]
        other = await get(served, f"{WELL_KNOWN}/other")
        async with client() as http:
            posted = await http.post(served.url.removesuffix("/mcp") + WELL_KNOWN)
    assert [page.status_code for page in pages] == [200, 200]
    assert pages[0].json() == {
        "resource": served.url,
        "authorization_servers": ["https://idp.test"],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["base"],
    }
    assert pages[0].content == pages[1].content
    assert pages[0].headers["content-type"] == "application/json"
    assert (other.status_code, posted.status_code) == (404, 405)


async def test_the_page_is_about_the_url_that_clients_use() -> None:
    async with protected(url="https://shim.test/base/mcp") as served:
        page = await get(served, f"{WELL_KNOWN}/base/mcp", host="shim.test")
        refused = await get(served, WELL_KNOWN, host="evil.test")
    assert page.json()["resource"] == "https://shim.test/base/mcp"
    assert "scopes_supported" not in page.json()
    assert refused.status_code == 421


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("https://h/mcp", f"https://h{WELL_KNOWN}/mcp"),
        ("https://h:8443/a/b", f"https://h:8443{WELL_KNOWN}/a/b"),
        ("https://h/", f"https://h{WELL_KNOWN}"),
        ("https://h", f"https://h{WELL_KNOWN}"),
    ],
)
def test_the_page_is_at_the_path_of_the_resource(resource: str, url: str) -> None:
    assert Protected(resource, "https://idp.test").metadata_url == url


async def test_a_401_says_where_to_sign_in_and_only_that() -> None:
    async with protected() as served:
        served.face.current.replace(replace(served.face.current.now, scopes=("base",)))
        where = f'resource_metadata="{served.url.removesuffix("/mcp")}{WELL_KNOWN}/mcp"'
        bare = await post(served, call("up__echo"), token=None)
        wrong = await post(served, call("up__echo"), token="a.b.c")
        basic = await post(served, call("up__echo"), {**routed(call("up__echo"), None), "authorization": "Basic eA=="})
    assert [response.status_code for response in (bare, wrong, basic)] == [401] * 3
    assert bare.headers["www-authenticate"] == f'Bearer scope="base", {where}'
    assert wrong.headers["www-authenticate"] == f'Bearer error="invalid_token", scope="base", {where}'
    assert basic.headers["www-authenticate"] == wrong.headers["www-authenticate"]
    assert bare.content == wrong.content


async def test_where_no_jwts_are_taken_there_is_no_sign_in() -> None:
    async with serving() as served:
        assert (await get(served, WELL_KNOWN)).status_code == 404
        for token in (None, "a.b.c"):
            response = await post(served, call("up__echo"), token=token)
            assert response.headers["www-authenticate"] == "Bearer"


async def _legacy(served: Served, message: JsonObject, token: str) -> httpx2.Response:
    headers = {**JSON_HEADERS, "authorization": f"Bearer {token}"}
    hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    opened = await post(served, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}, headers)
    headers |= {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": LEGACY}
    await post(served, {"jsonrpc": "2.0", "method": "notifications/initialized"}, headers)
    return await post(served, message, headers)


async def called(served: Served, era: Literal["legacy", "modern"], token: str, name: str) -> httpx2.Response:
    if era == "modern":
        return await post(served, call(name), token=token)
    params: JsonObject = {"name": name, "arguments": {}}
    return await _legacy(served, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, token)


def answer(response: httpx2.Response) -> JsonObject:
    found = events(response) or [response.json()]
    return found[-1]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_call_that_lacks_scopes_is_told_all_of_them(era: Literal["legacy", "modern"]) -> None:
    async with protected("a.read") as served:
        response = await called(served, era, "ALICE", "up__echo")
        (decided,) = [decision for made, decision in served.world.record.intents]
        other = await called(served, era, "ALICE", "up__slow")
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/json"
    assert response.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope", scope="a.read a.write", '
        f'resource_metadata="{served.url.removesuffix("/mcp")}{WELL_KNOWN}/mcp"'
    )
    error = response.json()["error"]
    assert response.json()["id"] == 1
    assert (error["code"], error["data"]["reason"]) == (-32010, "insufficient-scope")
    assert (decided.effect, decided.reason, served.world.upstreams.calls[:-1]) == ("deny", "insufficient-scope", [])
    # What needs none is answered as ever, also where the status had to wait
    assert other.status_code == 200
    assert "error" not in answer(other)


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_with_the_scopes_it_is_answered(era: Literal["legacy", "modern"]) -> None:
    async with protected(*NEEDED, "more") as served:
        response = await called(served, era, "ALICE", "up__echo")
    assert response.status_code == 200
    assert answer(response)["result"]["content"][0]["text"] == "up/echo"


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_credential_that_carries_no_scopes_is_refused_in_words(era: Literal["legacy", "modern"]) -> None:
    async with protected() as served:
        response = await called(served, era, "BOB", "up__echo")
    assert response.status_code == 200
    assert "www-authenticate" not in response.headers
    result = answer(response)["result"]
    assert result["isError"] is True
    assert "OAuth access token" in result["content"][0]["text"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_hidden_tool_asks_for_nothing(era: Literal["legacy", "modern"]) -> None:
    async with protected() as served:
        hidden, unknown = [await called(served, era, "BOB", name) for name in ("up__secret", "up__nothing")]
    for response in (hidden, unknown):
        assert "www-authenticate" not in response.headers
    # Each was asked in a session of its own, by which the ids of events differ.
    told = [response.content if era == "modern" else b"%r" % answer(response) for response in (hidden, unknown)]
    assert told[0].replace(b"up__secret", b"X") == told[1].replace(b"up__nothing", b"X")


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_prompt_and_a_resource_ask_for_scopes_as_well(era: Literal["legacy", "modern"]) -> None:
    made = scoped()
    made.policy.grants = {"alice": {"prompt:up/greet", "resource:up/x:a"}}
    made.catalog.learn(offer([], prompts=[{"name": "greet"}], resources=[{"uri": "x:a", "name": "a"}]))
    asked: list[tuple[str, JsonObject]] = [
        ("prompts/get", {"name": "up__greet"}),
        ("resources/read", {"uri": "x:a"}),
    ]
    async with serving(made, block=ServerBlock(jwt=JWT), tokens=WithScopes(frozenset())) as served:
        for method, params in asked:
            if era == "modern":
                named = {"mcp-name": params.get("name") or params["uri"]}
                message = request(method, params)
                response = await post(served, message, {**routed(message), **named})
            else:
                sent: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                response = await _legacy(served, sent, "ALICE")
            assert response.status_code == 403
            assert 'error="insufficient_scope", scope="a.read a.write"' in response.headers["www-authenticate"]
            assert response.json()["error"]["data"]["reason"] == "insufficient-scope"


async def test_a_fault_in_looking_at_keys_again_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_face, "RENEW_SECONDS", 0.001)
    again = anyio.Event()

    class Broken(Tokens):
        async def renew(self) -> None:
            if "could not be looked at again" in caplog.text:
                again.set()
            raise KeyError("keys")

    async with serving(tokens=Broken("alice", "bob")) as served:
        with anyio.fail_after(PATIENCE):
            await again.wait()
        assert (await post(served, call("up__echo"))).status_code == 200
