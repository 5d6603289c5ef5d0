"""Credentials that only people can give: they are led to the page, in a real browser, and nobody gives for another."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from shim.model import JsonObject
from shim.store.reader import Reader
from tests.parts.browser import Chromium
from tests.parts.fixtures import chromium as chromium
from tests.parts.odd import ROOT
from tests.parts.webdriver import ENTER, TAB, Driver, driving
from tests.promises.running import Running, identity, serving, token, write_config
from tests.promises.wire import http
from tests.secrets import issuer
from tests.secrets.asking import put

pytestmark = pytest.mark.asyncio(loop_scope="module")
VALUE = "canary-of-alice-8d2e"


@dataclass
class Whole:
    """The server, a browser's driver, and an authorization server, which has another name and so is another site."""

    shim: Running
    driver: Driver
    issuer: issuer.Server
    folder: Path

    def given(self, who: str) -> list[str]:
        """The secrets that the record says somebody gave."""
        with Reader(self.folder / "shim.db") as reader:
            events = [json.loads(event.text) for event in reader.events()]
        bodies = [event["body"] for event in events if event["kind"] == "secret.given"]
        return [body["secret"] for body in bodies if body["identity"] == who]

    def seen(self, *values: str) -> list[str]:
        """Those that stand in the store or were logged."""
        files = b"".join(path.read_bytes() for path in self.folder.glob("shim.db*"))
        return [value for value in values if value.encode() in files or value in "".join(self.shim.errors)]


def configured(folder: Path, server: issuer.Server) -> Path:
    """An upstream that tells its environment. Its catalog is read with one key, and called with each person's own."""
    put(folder / "key", "canary-of-the-catalog")
    argv = [sys.executable, "-S", "-E", "-u", str(ROOT / "tests/upstream/misbehaving.py"), "modern"]
    return write_config(
        folder,
        f"""version: 1
store: sqlite:shim.db
upstreams:
  odd: {{command: {json.dumps(argv)}, env: {{KEY: "${{secret:key}}"}}}}
identities:
{identity("alice")}{identity("bob")}{identity("carol")}
grants:
  - {{name: typed, to: [alice, bob], allow: ["odd/env"], bind: {{key: forge}}}}
  - {{name: allowed, to: [carol], allow: ["odd/env"], bind: {{key: mail}}}}
secret_sources:
  people: {{type: user, key: file:seal}}
  idp:
    type: oauth
    token_url: {server.url}/token
    authorization_url: {server.url.replace("127.0.0.1", "localhost")}/authorize
    issuer: {server.url}
    client_id: {issuer.CLIENT}
    client_secret: "${{env:CLIENT_PASSWORD}}"
    key: file:other-seal
secrets:
  key: {{source: file, path: key}}
  forge: {{source: people, prompt: A token of the forge, url: "https://forge.test/tokens"}}
  mail: {{source: idp, grant: authorization_code, scopes: [read]}}
""",
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    ready: asyncio.Future[Whole] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def live() -> None:
        async with issuer.serving() as server, driving(chromium) as driver:
            folder = tmp_path_factory.mktemp("page")
            config = configured(folder, server)
            async with serving(config, env={"CLIENT_PASSWORD": issuer.PASSWORD}) as shim:
                ready.set_result(Whole(shim, driver, server, folder))
                await done.wait()

    # One task, which has begun what it ends.
    async with asyncio.TaskGroup() as group:
        group.create_task(live())
        yield await ready
        done.set()


async def called(shim: Running, who: str) -> tuple[JsonObject, str]:
    """What a client that cannot be asked gets of a call, and the text."""
    async with http(shim.url, "modern", token=token(who)) as caller:
        answer = await caller.request("tools/call", {"name": "odd__env", "arguments": {}})
    return answer["result"], answer["result"]["content"][0]["text"]


def led_to(text: str) -> str:
    found = re.search(r"http://\S+/give/[A-Za-z0-9_-]+", text)
    assert found is not None, text
    return found[0]


async def test_alice_is_led_to_the_page_and_gives_and_bob_is_refused_there(whole: Whole) -> None:
    # given a refusal that leads alice to a page
    refusal, text = await called(whole.shim, "alice")
    assert refusal["_meta"]["io.github.mcp-shim/decision"]["reason"] == "secret-unavailable"
    page = led_to(text)
    # when bob comes there first, and alice after him
    async with whole.driver.window() as window:
        await window.go(page)
        assert "forge" not in await window.source()
        await window.keys(f"{TAB}{token('bob')}{ENTER}")
        await window.heading("This is not for you")
        source = await window.source()
        assert "alice" not in source
        assert "forge" not in source
        await window.press("Sign in as another")
        await window.heading("Sign in")
        await window.keys(f"{TAB}{token('alice')}{ENTER}")
        await window.heading("A credential is asked for")
        assert "A token of the forge" in await window.text()
        await window.keys(f"{TAB}{TAB}{VALUE}{ENTER}")
        await window.heading("Thank you")
        assert VALUE not in await window.source()
    # then her calls have it, and his are asked for his own
    result, text = await called(whole.shim, "alice")
    assert result.get("isError") is not True, text
    assert "[secret:key]" in text
    assert "canary" not in text
    refusal, text = await called(whole.shim, "bob")
    assert refusal["isError"]
    assert led_to(text) != page
    assert (whole.given("alice"), whole.given("bob")) == (["forge"], [])
    assert whole.seen(VALUE, token("alice"), token("bob")) == []


async def test_carol_consents_at_the_upstreams_own_server(whole: Whole) -> None:
    _, text = await called(whole.shim, "carol")
    async with whole.driver.window() as window:
        await window.go(led_to(text))
        await window.keys(f"{TAB}{token('carol')}{ENTER}")
        await window.heading("Your consent is asked for")
        assert "localhost" in await window.text()
        await window.press("Go there")
        await window.heading("Thank you")
        assert await window.url() == whole.shim.url.replace("/mcp", "/given")
        assert await window.complaints() == []
    result, text = await called(whole.shim, "carol")
    assert result.get("isError") is not True, text
    assert "[secret:key]" in text
    assert whole.given("carol") == ["mail"]
    tokens = list(whole.issuer.alive)
    assert len(tokens) == 2
    assert [value for value in tokens if value in text] == whole.seen(*tokens, token("carol")) == []
