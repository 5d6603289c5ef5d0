"""A credential that only alice can give: she is led to the page, in a real browser, and bob can give nothing there."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shim.model import JsonObject
from tests.parts.browser import Chromium
from tests.parts.fixtures import chromium as chromium
from tests.parts.odd import ROOT
from tests.parts.webdriver import ENTER, TAB, Driver, driving
from tests.promises.running import Running, identity, run, serving, token, write_config
from tests.promises.wire import http
from tests.secrets.asking import put

VALUE = "canary-of-alice-8d2e"


@pytest.fixture
async def driver(chromium: Chromium) -> AsyncIterator[Driver]:
    async with driving(chromium) as one:
        yield one


def configured(folder: Path) -> Path:
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
{identity("alice")}{identity("bob")}
grants:
  - {{name: own, to: ["*"], allow: ["odd/env"], bind: {{key: forge}}}}
secret_sources:
  people: {{type: user, key: file:seal}}
secrets:
  key: {{source: file, path: key}}
  forge: {{source: people, prompt: A token of the forge, url: "https://forge.test/tokens"}}
""",
    )


async def called(shim: Running, who: str) -> tuple[JsonObject, str]:
    """What a client that cannot be asked gets of a call, and the text."""
    async with http(shim.url, "modern", token=token(who)) as caller:
        answer = await caller.request("tools/call", {"name": "odd__env", "arguments": {}})
    return answer["result"], answer["result"]["content"][0]["text"]


def led_to(text: str) -> str:
    found = re.search(r"http://\S+/give/[A-Za-z0-9_-]+", text)
    assert found is not None, text
    return found[0]


def kept(folder: Path) -> bytes:
    """Everything in the store's files."""
    return b"".join(path.read_bytes() for path in folder.glob("shim.db*"))


async def test_alice_is_led_to_the_page_and_gives_and_bob_is_refused_there(tmp_path: Path, driver: Driver) -> None:
    config = configured(tmp_path)
    async with serving(config) as shim:
        # given a refusal that leads alice to a page
        refusal, text = await called(shim, "alice")
        assert refusal["_meta"]["io.github.mcp-shim/decision"]["reason"] == "secret-unavailable"
        page = led_to(text)
        # when bob comes there first, and alice after him
        async with driver.window() as window:
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
        result, text = await called(shim, "alice")
        assert result.get("isError") is not True, text
        assert "[secret:key]" in text
        assert "canary" not in text
        refusal, text = await called(shim, "bob")
        assert refusal["isError"]
        assert led_to(text) != page
    code, out, err = await run(config, "log", "export", "--format", "jsonl", "--events")
    assert code == 0, err
    events = [json.loads(json.loads(line)["event"]) for line in out.splitlines()]
    told = [event["body"] for event in events if event["kind"] == "secret.given"]
    assert [(body["identity"], body["secret"]) for body in told] == [("alice", "forge")]
    assert any("another identity" in json.dumps(event) for event in events if event["kind"] == "auth.refused")
    for where in (out.encode(), kept(tmp_path), "".join(shim.errors).encode()):
        assert VALUE.encode() not in where
        assert token("alice").encode() not in where
