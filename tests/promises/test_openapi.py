"""HTTP APIs as upstreams, through the whole shim: a FastAPI service by its own document."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shim.model import JsonObject
from shim.refusals import DECISION_META
from tests.promises import running, wire
from tests.promises.databases import exported
from tests.promises.running import run, token
from tests.upstream.openapi import notes
from tests.upstream.openapi.notes import KEY, PIXEL, Notes

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOTS = [
    *("..", ".", " .. ", "%2e%2e", ".%2E", "%252e%252e", "%25252e.", "..;a=b", "..%3b", "..%2f..", "..%5c..", "..\\.."),
    *("\u2024\u2024", "\uff0e\uff0e", "\ufe52.", "%e2%80%a4.", "..%00", "%c0%ae%c0%ae"),
]
"""Two dots, as servers of one sort or another may read them."""

HTTP = "io.github.mcp-shim/http"

_CONFIG = """version: 1
record: {{results: full}}
upstreams:
  notes:
    openapi: {base}/openapi.json
    base: {base}
    operations: ["tag:notes", "tag:files"]
    auth: {{header: {{X-Key: "${{secret:notes}}"}}}}
    slashes: [path]
    response_headers: [Link]
    max_result: 100KiB
    prefix: ""
secrets:
  notes: {{source: file, path: key}}
identities:
{identities}
grants:
  - name: notes
    to: [writer]
    allow: ["notes/*"]
"""


_FILES = {
    "openapi": "3.1.0",
    "paths": {
        "/{mount}/files/{path}": {
            "get": {
                "operationId": "read",
                "parameters": [
                    {"name": one, "in": "path", "required": True, "schema": {"type": "string"}}
                    for one in ("mount", "path")
                ],
            }
        }
    },
}
_NOBODY = """version: 1
upstreams:
  files: {openapi: files.json, base: "http://127.0.0.1:9", operations: ["* /**"]}
identities:
  me: {local: true}
grants:
  - name: files
    to: [me]
    allow: ["files/*"]
tools:
  files/read: {default: {mount: m}}
"""
"""A service that is down, and what its document has."""


@pytest.fixture(scope="module")
def kept() -> Notes:
    return Notes()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def peer(tmp_path_factory: pytest.TempPathFactory, kept: Notes) -> AsyncIterator[wire.HttpPeer]:
    """A caller of the shim in front of the service."""
    tmp_path = tmp_path_factory.mktemp("notes")
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    async with notes.serving(kept) as base:
        config = running.write_config(tmp_path, _CONFIG.format(base=base, identities=running.identity("writer")))
        async with (
            running.serving(config) as run,
            wire.http(run.url, "modern", token=token("writer")) as peer,
        ):
            yield peer


async def call(peer: wire.HttpPeer, name: str, arguments: JsonObject) -> JsonObject:
    answer = await peer.request("tools/call", {"name": name, "arguments": arguments})
    result: JsonObject = answer["result"]
    return result


def decided(result: JsonObject) -> str:
    """Why there is no answer."""
    reason: str = result["_meta"][DECISION_META]["reason"]
    return reason


async def test_a_service_by_its_own_document(peer: wire.HttpPeer, kept: Notes) -> None:
    listed = await peer.request("tools/list")
    tools = {tool["name"]: tool for tool in listed["result"]["tools"]}
    assert {"list_notes", "add_note", "change_note", "remove_note", "read_file", "upload"} <= tools.keys()
    assert tools["list_notes"]["annotations"] == {"readOnlyHint": True}
    assert tools["remove_note"]["annotations"]["destructiveHint"] is True
    # What is not shown is not hinted at either.
    assert "_meta" not in tools["add_note"]

    found = await call(
        peer, "list_notes", {"tag": ["a b", "c&d=e"], "limit": 5, "x-trace": "t", "theme": "dark", "colour": "red"}
    )
    assert found["structuredContent"] == {
        "result": [{"tag": ["a b", "c&d=e"], "colour": "red", "limit": 5, "x_trace": "t", "theme": "dark"}]
    }
    assert found["_meta"][HTTP] == {"status": 200, "headers": {"link": '</notes?page=2>; rel="next"'}}

    made = await call(peer, "add_note", {"body": {"title": "x", "text": "y", "tags": ["z"]}})
    assert made["structuredContent"] == {"id": 1, "title": "x", "text": "y", "tags": ["z"]}
    changed = await call(peer, "change_note", {"number": 1, "body": {"text": None}})
    assert changed["structuredContent"] == {"title": "x", "text": None, "tags": ["z"]}
    removed = await call(peer, "remove_note", {"number": 1})
    assert removed["isError"] is False
    assert kept.kept == {}
    keys = {headers.get("x-key") for _, path, headers in kept.seen if path != "/openapi.json"}
    assert keys == {KEY}


async def test_what_is_no_json(peer: wire.HttpPeer) -> None:
    picture = await call(peer, "picture", {})
    assert picture["content"] == [{"type": "image", "data": base64.b64encode(PIXEL).decode(), "mimeType": "image/png"}]
    assert (await call(peer, "plain", {}))["content"][0]["text"] == "grüße"
    data = b"\x00\xff\r\n--"
    sent = await call(peer, "upload", {"body": {"file": base64.b64encode(data).decode(), "title": 'a"b'}})
    assert sent["structuredContent"] == {"title": 'a"b', "size": 6, "bytes": list(data), "name": "file"}
    form = await call(peer, "form", {"body": {"title": "t&u=1", "tags": ["a", "b,c"]}})
    assert form["structuredContent"] == {"title": "t&u=1", "tags": ["a", "b,c"]}


async def test_what_a_service_refuses_and_where_it_would_lead(peer: wire.HttpPeer) -> None:
    missing = await call(peer, "remove_note", {"number": 9})
    text = "".join(block["text"] for block in missing["content"])
    assert missing["isError"] is True
    assert "404 (Not Found). Retry-After: 7." in text
    assert "no note 9" in text
    # A service may repeat what it was sent.
    assert KEY not in json.dumps(missing)
    # Nor a part of it, where what a service says is cut.
    verbose = (await call(peer, "verbose", {}))["content"][-1]["text"]
    assert verbose.endswith(" … (cut)")
    assert KEY[:12] not in verbose
    elsewhere = await call(peer, "elsewhere", {})
    assert elsewhere["isError"] is True
    assert "a redirect, which is never followed" in elsewhere["content"][0]["text"]
    assert decided(await call(peer, "large", {})) == "result-too-large"


async def test_values_stay_in_their_places(peer: wire.HttpPeer, kept: Notes) -> None:
    read = await call(peer, "read_file", {"path": "a/b c/d%"})
    assert read["structuredContent"] == {"path": "a/b c/d%"}
    before = len(kept.seen)
    crooked: list[tuple[str, JsonObject]] = [("read_file", {"path": f"a/{dots}/notes"}) for dots in DOTS]
    for name, arguments in (
        *crooked,
        ("read_file", {"path": "a/../../notes"}),
        ("read_file", {"path": "%2e%2e/notes"}),
        ("read_file", {"path": "a//b"}),
        ("list_notes", {"theme": "a; admin=1"}),
        ("list_notes", {"x-trace": "a\r\nx-key: b"}),
        ("list_notes", {"admin": True}),
        ("list_notes", {"limit": "5"}),
        ("remove_note", {"number": "1/../2"}),
        ("upload", {"body": {"file": "no base64", "title": "t"}}),
    ):
        assert decided(await call(peer, name, arguments)) == "invalid-arguments", (name, arguments)
    assert len(kept.seen) == before


async def test_arguments_are_judged_with_defaults_and_by_a_process_that_has_just_begun(tmp_path: Path) -> None:
    (tmp_path / "files.json").write_text(json.dumps(_FILES))
    config = running.write_config(tmp_path, _NOBODY)
    # Each is a process of its own. The second knows the tool from the first, and has read no document yet.
    for arguments in ({"path": "a"}, {"path": "a", "mount": ".."}):
        code, out, err = await run(config, "call", "--identity", "me", "files/read", json.dumps(arguments))
        assert code != 0, out + err
    rows = await exported(config)
    assert [(row["decision"], row["reason"], row["status"]) for row in rows] == [
        ("allow", "granted", "failed"),
        ("deny", "invalid-arguments", "denied"),
    ]
