"""One configuration, every kind of upstream, and the same rules for all: what is seen, decided, handed over, hidden,
recorded and explained differs in nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import pytest_asyncio

from shim.model import JsonObject
from shim.refusals import DECISION_META
from tests.promises import running, wire
from tests.promises.databases import exported
from tests.promises.running import run, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ["program", "openapi", "python"]
KEY = "canary-5d2e8f7a-key-of-all"
_TEXT = {"type": "string", "maxLength": 40}

_SERVICE = {
    "openapi": "3.1.0",
    "info": {"title": "words", "version": "1"},
    "paths": {
        "/say": {
            "get": {
                "operationId": "say",
                "parameters": [{"name": "text", "in": "query", "required": True, "schema": _TEXT}],
                "responses": {"200": {"description": "it"}},
            }
        },
        "/leak": {"get": {"operationId": "leak", "responses": {"200": {"description": "it"}}}},
        "/hidden": {"get": {"operationId": "hidden", "responses": {"200": {"description": "it"}}}},
    },
}
_FUNCTIONS = '''
from typing import Annotated

from pydantic import Field


def say(text: Annotated[str, Field(max_length=40)]) -> str:
    """It."""
    return "said " + text


def leak(key: str) -> str:
    """It."""
    return key


def hidden() -> str:
    """It."""
    return "never"
'''


class _Words(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        text = self.headers["x-key"] if self.path == "/leak" else "said " + self.path.partition("=")[2]
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Words) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass
class World:
    config: Path
    run: running.Running
    peer: wire.HttpPeer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, service: str) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "key").write_text(KEY)
    (folder / "key").chmod(0o600)
    (folder / "words.json").write_text(json.dumps(_SERVICE))
    (folder / "words.py").write_text(_FUNCTIONS)
    say = {"run": ["said", "{text}"], "input": {"text": _TEXT}}
    config = {
        "version": 1,
        "record": {"results": "full"},
        "upstreams": {
            "program": {
                "program": str(_program(folder)),
                "env": {"KEY": "${secret:key}"},
                "tools": {"say": say, "leak": {"run": ["leak"]}, "hidden": {"run": ["never"]}},
            },
            "openapi": {
                "openapi": "words.json",
                "base": service,
                "operations": ["GET /**"],
                "auth": {"header": {"X-Key": "${secret:key}"}},
            },
            "python": {"python": ["words:say", "words:leak", "words:hidden"], "inject": {"key": "${secret:key}"}},
        },
        "secrets": {"key": {"source": "file", "path": "key"}},
        "grants": [
            {"name": "words", "to": ["alice"], "allow": ["*/say"], "when": "!has(args.text) || size(args.text) < 20"},
            {"name": "leaks", "to": ["alice"], "allow": ["*/leak"]},
        ],
        "tools": {"*/say": {"description": "Says a text."}},
    }
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in config.items()]
    path = running.write_config(folder, f"{''.join(lines)}identities:\n{running.identity('alice')}")
    async with (
        running.serving(path) as run_,
        wire.http(run_.url, "modern", token=token("alice")) as peer,
    ):
        yield World(path, run_, peer)


def _program(folder: Path) -> Path:
    """A program that says its words, or what it was given."""
    path = folder / "words"
    path.write_text('#!/bin/sh\nif [ "$1" = leak ]; then printf %s "$KEY"; else printf "%s" "$*"; fi\n')
    path.chmod(0o755)
    return path


async def call(world: World, tool: str, arguments: JsonObject) -> JsonObject:
    answer = await world.peer.request("tools/call", {"name": tool, "arguments": arguments})
    found: JsonObject = answer
    return found


async def test_what_is_listed_is_what_may_be_called(world: World) -> None:
    listed = (await world.peer.request("tools/list"))["result"]["tools"]
    assert sorted(tool["name"] for tool in listed) == sorted(
        f"{kind}__{tool}" for kind in KINDS for tool in ("leak", "say")
    )
    says = [tool for tool in listed if tool["name"].endswith("__say")]
    assert {tool["description"] for tool in says} == {"Says a text."}
    assert all(tool["inputSchema"]["properties"]["text"]["maxLength"] == 40 for tool in says)
    assert all(tool["inputSchema"].get("additionalProperties") is False for tool in says)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_is_answered_decided_and_recorded_alike(world: World, kind: str) -> None:
    answered = (await call(world, f"{kind}__say", {"text": "hello"}))["result"]
    assert answered["content"][0]["text"].endswith("said hello")
    assert not answered.get("isError")
    reasons = {
        "x" * 30: "condition-false",
        5: "condition-error",
    }
    for text, reason in reasons.items():
        refused = (await call(world, f"{kind}__say", {"text": text}))["result"]
        assert refused["_meta"][DECISION_META]["reason"] == reason
    for arguments in ({"text": "a", "more": 1}, {"text": "a", "": ""}):
        refused = (await call(world, f"{kind}__say", arguments))["result"]
        assert refused["_meta"][DECISION_META]["reason"] == "invalid-arguments"
        assert "additional properties" in refused["content"][0]["text"].lower()
    asked: list[JsonObject] = [{}, {"args": {}}, {"args": {"text": "a"}}, {"args": {"text": "a", "more": 1}}]
    lines = "\n".join(json.dumps({"identity": "alice", "tool": f"{kind}/say", **more}) for more in asked)
    code, out, _ = await run(world.config, "explain", "--batch", "-", stdin=lines.encode())
    # Without arguments it is policy alone that decides.
    told = [json.loads(line)["reason"] for line in out.splitlines()]
    assert told == ["granted", "invalid-arguments", "granted", "invalid-arguments"], code
    code, out, _ = await run(world.config, "explain", "--identity", "alice", "--tool", f"{kind}/say", "--json")
    assert (code, json.loads(out)["reason"]) == (0, "granted")
    rows = [row for row in await exported(world.config) if row["tool"] == f"{kind}/say"]
    assert [(row["decision"], row["reason"], row["status"]) for row in rows] == [
        ("allow", "granted", "ok"),
        ("deny", "condition-false", "denied"),
        ("deny", "condition-error", "denied"),
        ("deny", "invalid-arguments", "denied"),
        ("deny", "invalid-arguments", "denied"),
    ]
    assert [bool(row["secrets"]) for row in rows] == [True, False, False, False, False]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_it_was_handed_is_seen_by_nobody(world: World, kind: str) -> None:
    answered = await call(world, f"{kind}__leak", {})
    assert answered["result"]["content"][0]["text"] == "[secret:key]"
    (row,) = [row for row in await exported(world.config) if row["tool"] == f"{kind}/leak"]
    assert row["redactions"] > 0
    assert KEY not in json.dumps(answered) + json.dumps(row) + "".join(world.run.errors)
    assert all(KEY.encode() not in path.read_bytes() for path in world.config.parent.glob("**/*.db*"))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_not_granted_is_as_if_it_were_not_there(world: World, kind: str) -> None:
    hidden, nothing = await call(world, f"{kind}__hidden", {}), await call(world, f"{kind}__nothin", {})
    assert json.dumps(hidden["error"]).replace("hidden", "nothin") == json.dumps(nothing["error"])
    assert "/hidden" not in _Words.asked
