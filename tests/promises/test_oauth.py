"""The SDK's own OAuth client signs in, calls, and steps up; what it shows never goes further than the shim."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from shim.model import JsonObject
from tests.identity.issuer import AUDIENCE, Issuer, ec, issuing
from tests.promises.running import identity, run, serving, token, write_config
from tests.promises.wire import http
from tests.upstream.web import Web
from tests.upstream.web import serving as upstream

Era = Literal["legacy", "modern"]
ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])
PERSON: JsonObject = {"sub": "7", "email": "ann@x.test", "groups": ["staff"]}


def configuration(folder: Path, issuer: Issuer, web: Web) -> Path:
    return write_config(
        folder,
        f"""version: 1
store: sqlite:shim.db
server:
  jwt: {{issuer: "{issuer.url}", audience: "{AUDIENCE}"}}
upstreams:
  web: {{url: "{web.url}"}}
identities:
  staff:
    jwt: {{groups: staff}}
    name: "staff:{{claims.email}}"
{identity("local")}
grants:
  - {{name: read, to: ["group:staff", local], allow: [web/echo], scopes: [web.use]}}
  - {{name: write, to: ["group:staff"], allow: [web/write], scopes: [web.use, web.write]}}
""",
    )


class Storage:
    """What a client keeps of a sign-in."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def provider(url: str, storage: Storage) -> OAuthClientProvider:
    """A client whose person says yes to everything."""
    came: list[AuthorizationCodeResult] = []

    async def visit(where: str) -> None:
        async with httpx2.AsyncClient(trust_env=False) as browser:
            back = (await browser.get(where)).headers["location"]
        values = {name: value[0] for name, value in parse_qs(urlsplit(back).query).items()}
        came.append(AuthorizationCodeResult(code=values["code"], state=values["state"], iss=values["iss"]))

    async def returned() -> AuthorizationCodeResult:
        return came.pop()

    about = OAuthClientMetadata.model_validate(
        {
            "client_name": "a client",
            "redirect_uris": ["http://127.0.0.1:1/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code"],
        }
    )
    return OAuthClientProvider(url, about, storage, redirect_handler=visit, callback_handler=returned)


@asynccontextmanager
async def signed_in(url: str, era: Era, storage: Storage) -> AsyncIterator[Client]:
    auth = provider(url, storage)
    async with (
        httpx2.AsyncClient(auth=auth, trust_env=False, timeout=30) as web,
        Client(streamable_http_client(url, http_client=web), mode="legacy" if era == "legacy" else "auto") as client,
    ):
        yield client


@ERAS
async def test_a_client_signs_in_calls_and_steps_up(tmp_path: Path, era: Era) -> None:
    storage = Storage()
    async with issuing() as issuer, upstream("modern", write=lambda request: request.say("written")) as web:
        issuer.person, issuer.first = {**PERSON, "jti": "j-1"}, frozenset({"web.use"})
        config = configuration(tmp_path, issuer, web)
        async with serving(config) as shim, signed_in(shim.url, era, storage) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            echoed = await client.call_tool("web__echo", {"a": 1})
            before = storage.tokens
            written = await client.call_tool("web__write", {})
        # Then: it saw what it may see, and went back to the issuer once, for all that was missing
        assert names == ["web__echo", "web__write"]
        assert (echoed.is_error, written.is_error) == (False, False)
        assert [request["scope"] for request in issuer.requested] == ["web.use", "web.use web.write"]
        assert {request["resource"] for request in issuer.requested} == {shim.url}
        assert before is not None
        assert storage.tokens is not None
        assert before.access_token != storage.tokens.access_token
        # Nothing of it went on to the upstream, in whatever header or body
        seen = json.dumps([[request.headers, request.message] for request in web.seen])
        for secret in (before.access_token, storage.tokens.access_token):
            assert secret not in seen
            assert secret.split(".")[1] not in seen
        assert all("authorization" not in request.headers for request in web.seen)
    code, out, err = await run(config, "log", "list", "--json")
    assert code == 0, err
    rows = [row for row in json.loads(out) if row["method"] == "tools/call"]
    assert [(row["tool"], row["decision"], row["reason"], row["grant"]) for row in rows] == [
        ("web/echo", "allow", "granted", "read"),
        ("web/write", "deny", "insufficient-scope", "write"),
        ("web/write", "allow", "granted", "write"),
    ]
    assert {(row["identity"], *row["groups"]) for row in rows} == {("staff:ann@x.test", "staff")}
    assert {row["credential"] for row in rows} == {f'jwt:{{"iss":"{issuer.url}","sub":"7","jti":"j-1"}}'}


async def test_bad_tokens_rotation_reload_and_an_issuer_that_is_down(tmp_path: Path) -> None:
    async with issuing() as issuer, upstream("modern") as web:
        issuer.person = PERSON
        config = configuration(tmp_path, issuer, web)
        async with serving(config) as shim, httpx2.AsyncClient(trust_env=False, timeout=30) as raw:

            async def status(sent: str) -> int:
                headers = {"authorization": f"Bearer {sent}", "mcp-session-id": "none"}
                return (await raw.get(shim.url, headers=headers)).status_code

            # A session that nobody has: 404 for whoever is somebody, 401 for the others
            assert await status(issuer.token()) == 404
            for wrong in (issuer.token(aud="x"), issuer.token(exp=1), issuer.token(groups=[]), issuer.token()[:-9]):
                assert await status(wrong) == 401
            assert await status(token("local")) == 404
            # A legacy session is its owner's, with whichever of their tokens; and nobody else's
            async with http(shim.url, "legacy", token=issuer.token(jti="one")) as peer:
                session = peer.headers["mcp-session-id"]
                message = {"jsonrpc": "2.0", "id": 5, "method": "ping"}
                statuses = []
                for who in (issuer.token(jti="two"), issuer.token(email="eve@x.test"), token("local")):
                    headers = {"authorization": f"Bearer {who}", "mcp-session-id": session}
                    statuses.append((await peer.post(message, headers)).status_code)
            assert statuses == [200, 404, 404]
            # A new key holds at once, the old one no more
            old = issuer.token()
            issuer.rotate(("ES256", ec()))
            assert await status(issuer.token()) == 404
            assert await status(old) == 401
            # While the issuer is down the key is still known, and another is not; the record says why
            issuer.down = True
            assert await status(issuer.token(jti="again")) == 404
            known = issuer.keys[0]
            issuer.rotate(("ES256", ec()))
            assert await status(issuer.token()) == 401
            issuer.rotate(known)
            # A change of the configuration holds for tokens that were verified before
            config.write_text(config.read_text().replace("jwt: {groups: staff}", "jwt: {groups: other}"))
            shim.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(20):
                while await status(issuer.token(jti="again")) != 401:
                    pass
            assert await status(issuer.token(groups="other")) == 404
    code, out, err = await run(config, "log", "export", "--format", "jsonl", "--events")
    assert code == 0, err
    events = [json.loads(json.loads(line)["event"]) for line in out.splitlines()]
    refused = {event["body"]["reason"] for event in events if event["kind"] == "auth.refused"}
    assert refused >= {
        "a JWT for another audience",
        "a JWT that has expired",
        "a JWT that is no identity's",
        "a JWT of a key that the issuer does not have",
    }


async def test_what_explain_and_tools_say_of_persons_and_scopes(tmp_path: Path) -> None:
    async with issuing() as issuer, upstream("modern") as web:
        config = configuration(tmp_path, issuer, web)
        asked = ["explain", "--json", "--tool", "web/echo", "--identity", "staff:ann@x.test"]
        lacking = await run(config, *asked)
        carrying = await run(config, *asked, "--scope", "web.use", "--scope", "other")
        line = json.dumps({"identity": "staff:ann@x.test", "tool": "web/echo", "scopes": ["web.use"]}).encode()
        batch = await run(config, "explain", "--batch", "-", stdin=line + b"\n")
        nobody = await run(config, "explain", "--tool", "web/echo", "--identity", "staff")
    found = json.loads(lacking[1])
    assert (found["decision"], found["reason"], found["grant"]) == ("deny", "insufficient-scope", "read")
    assert found["trail"][0]["reason"] == "insufficient-scope"
    assert [json.loads(out)["decision"] for _, out, _ in (carrying, batch)] == ["allow", "allow"]
    assert nobody[0] == 2
    assert "staff is many persons" in nobody[2]
