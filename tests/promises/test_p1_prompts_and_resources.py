"""P1 for prompts and resources: what a grant names, over every face, and nothing else; nobody is asked for the rest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from shim.model import Json, JsonObject
from tests.parts.odd import ROOT, odd_argv, read_ledger
from tests.promises.running import SHIM, environment, identity, run, serving, token, write_config
from tests.promises.wire import Era, HttpPeer, Peer, http, stdio

GRANTS = """
  - {name: docs, to: [reader, careful], allow: ["resource:odd/odd://docs/*", "prompt:odd/greet", "odd/change_list"]}
  - {name: files, to: [reader], allow: ["resource:odd/odd://files/**"]}
  - {name: closed, to: [reader], deny: ["resource:odd/odd://files/closed/**"]}
  - {name: all, to: [owner], allow: ["**", "prompt:**", "resource:**"]}
  - name: reviews-of-code
    to: [careful]
    allow: ["prompt:odd/review"]
    when: args.code == "x"
  - name: one-only
    to: [careful]
    allow: ["resource:odd/odd://private/*"]
    when: args.uri.endsWith("/key")
"""


@dataclass
class Shim:
    """A shim in front of the odd server: where it is, its configuration, and what the server was asked."""

    url: str
    config: Path
    ledger: Path

    def asked(self) -> list[str]:
        return [entry["tool"] for entry in read_ledger(self.ledger)]


@pytest.fixture
async def shim(tmp_path: Path) -> AsyncIterator[Shim]:
    ledger = tmp_path / "ledger"
    who = "".join(map(identity, ("reader", "careful", "owner", "nobody")))
    command = json.dumps(odd_argv("both", ledger=ledger))
    config = write_config(
        tmp_path,
        f"version: 1\nstore: sqlite:var/shim.db\nrecord: {{results: full}}\nupstreams:\n  odd:\n"
        f"    command: {command}\n    cwd: {ROOT}\nidentities:\n{who}\ngrants:{GRANTS}",
    )
    async with serving(config) as running:
        yield Shim(running.url, config, ledger)


@asynccontextmanager
async def faces(shim: Shim, who: str) -> AsyncIterator[list[Peer]]:
    """The same identity over every face."""
    argv = [SHIM, "stdio", "--identity", who, "--config", str(shim.config)]
    env = environment(shim.config.parent)
    async with (
        http(shim.url, "modern", token=token(who)) as one,
        http(shim.url, "legacy", token=token(who)) as two,
        stdio(argv, "modern", env=env) as three,
        stdio(argv, "legacy", env=env) as four,
    ):
        yield [one, two, three, four]


async def names(peer: Peer, method: str, member: str, key: str) -> list[str]:
    return [one[key] for one in (await peer.request(method))["result"][member]]


def complete(uri: str | None = None, prompt: str | None = None, argument: str = "path", value: str = "") -> JsonObject:
    ref = {"type": "ref/resource", "uri": uri} if uri is not None else {"type": "ref/prompt", "name": prompt}
    return {"ref": ref, "argument": {"name": argument, "value": value}}


def bare(answer: JsonObject, *spelt: str) -> str:
    text = json.dumps({**answer, "id": None})
    for one in spelt:
        text = text.replace(one, "NAME")
    return text


async def test_each_identity_sees_and_reads_over_every_face_what_its_grants_name(shim: Shim) -> None:
    async with faces(shim, "reader") as peers:
        for peer in peers:
            assert await names(peer, "prompts/list", "prompts", "name") == ["odd__greet"]
            assert await names(peer, "resources/list", "resources", "uri") == ["odd://docs/one", "odd://docs/two%20b"]
            templates = await names(peer, "resources/templates/list", "resourceTemplates", "uriTemplate")
            assert templates == ["odd://files/{path}"]
            for uri in ("odd://docs/one", "odd://files/a/b", "odd://docs/unlisted"):
                read = await peer.request("resources/read", {"uri": uri})
                assert read["result"]["contents"][0]["text"] == f"read {uri}"
                assert read["result"]["contents"][0]["_meta"] == {"kept": None}
            got = await peer.request("prompts/get", {"name": "odd__greet"})
            assert got["result"]["messages"][0]["content"]["text"] == "greet []"
            completed = await peer.request("completion/complete", complete("odd://files/{path}"))
            assert completed["result"]["completion"]["values"] == ["open/a", "open/b"]
    async with http(shim.url, "modern", token=token("nobody")) as peer:
        assert await names(peer, "resources/list", "resources", "uri") == []
        assert await names(peer, "prompts/list", "prompts", "name") == []
        assert await names(peer, "resources/templates/list", "resourceTemplates", "uriTemplate") == []


HIDDEN: list[tuple[str, JsonObject, JsonObject, tuple[str, str]]] = [
    ("prompts/get", {"name": "odd__review"}, {"name": "odd__revoew"}, ("odd__review", "odd__revoew")),
    (
        "resources/read",
        {"uri": "odd://private/key"},
        {"uri": "odd://nowhere/key"},
        ("odd://private/key", "odd://nowhere/key"),
    ),
    (
        "resources/read",
        {"uri": "odd://files/closed/c"},
        {"uri": "odd://nowhere/x"},
        ("odd://files/closed/c", "odd://nowhere/x"),
    ),
    (
        "resources/read",
        {"uri": "odd://docs/../private/key"},
        {"uri": "odd://docz/../x"},
        ("odd://docs/../private/key", "odd://docz/../x"),
    ),
    (
        "completion/complete",
        complete(prompt="odd__review"),
        complete(prompt="odd__revoew"),
        ("odd__review", "odd__revoew"),
    ),
    (
        "completion/complete",
        complete("odd://private/{+path}"),
        complete("odd://nowhere/{+path}"),
        ("odd://private/{+path}", "odd://nowhere/{+path}"),
    ),
]


async def test_hidden_and_unknown_answer_the_same_over_every_face_and_nobody_is_asked(shim: Shim) -> None:
    async with faces(shim, "reader") as peers:
        for peer in peers:
            not_found = -32602 if peer.era == "modern" else -32002
            for method, hidden, unknown, spelt in HIDDEN:
                one, other = await peer.request(method, hidden), await peer.request(method, unknown)
                assert bare(one, *spelt) == bare(other, *spelt)
                is_uri = "uri" in hidden or "uri" in hidden.get("ref", {})
                assert one["error"]["code"] == (not_found if is_uri else -32602)
                assert one["error"]["message"] == ("Resource not found" if is_uri else "Unknown prompt: odd__review")
    assert shim.asked() == []


async def test_text_that_has_no_bytes_is_refused_like_any_other(shim: Shim) -> None:
    argv = [SHIM, "stdio", "--identity", "reader", "--config", str(shim.config)]
    async with stdio(argv, "legacy", env=environment(shim.config.parent)) as peer:
        for uri in ("odd://docs/\ud800", "odd://nowhere/\ud800", "odd://docs/\x00", "", "/", "odd:", "x" * 2048):
            answer = await peer.request("resources/read", {"uri": uri})
            expected = {"code": -32002, "message": "Resource not found", "data": {"uri": uri}}
            assert answer["error"] == expected
        too_long = await peer.request("resources/read", {"uri": "odd://docs/" + "x" * 2048})
        assert too_long["error"]["code"] == -32602
    assert shim.asked() == []
    assert len(await record(shim)) == 7


async def test_over_http_they_are_the_same_byte_for_byte(shim: Shim) -> None:
    async with (
        http(shim.url, "modern", token=token("reader")) as modern,
        http(shim.url, "legacy", token=token("reader")) as legacy,
    ):
        for peer in (modern, legacy):
            for method, hidden, unknown, spelt in HIDDEN:
                assert await raw(peer, method, hidden, spelt) == await raw(peer, method, unknown, spelt)


async def raw(peer: HttpPeer, method: str, params: JsonObject, spelt: tuple[str, str]) -> tuple[int, bytes, JsonObject]:
    peer.ids = iter((77,))  # type: ignore[assignment] # the same id each time
    await peer.request(method, params)
    assert peer.last is not None
    body = peer.last.content
    for one in spelt:
        body = body.replace(one.encode(), b"NAME")
    skipped = ("date", "content-length")
    return peer.last.status_code, body, {k: v for k, v in peer.last.headers.items() if k not in skipped}


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_what_is_visible_and_refused_says_why_and_nobody_is_asked(era: Era, shim: Shim) -> None:
    asks: list[tuple[str, JsonObject]] = [
        ("prompts/get", {"name": "odd__review", "arguments": {"code": "y"}}),
        ("resources/read", {"uri": "odd://private/door"}),
        ("completion/complete", complete(prompt="odd__review", argument="code", value="y")),
        ("completion/complete", complete("odd://private/{+path}")),
    ]
    async with http(shim.url, era, token=token("careful")) as peer:
        for method, params in asks:
            error = (await peer.request(method, params))["error"]
            assert error["code"] == -32010
            assert error["data"]["decision"] == "deny"
            assert error["data"]["reason"] == "condition-false"
            assert error["data"]["invocation"]
        assert "result" in await peer.request("prompts/get", {"name": "odd__review", "arguments": {"code": "x"}})
        assert "result" in await peer.request("resources/read", {"uri": "odd://private/key"})
    assert shim.asked() == ["prompt review", "read odd://private/key"]


async def test_every_use_is_on_the_record_under_the_name_that_policy_has_for_it(shim: Shim) -> None:
    async with http(shim.url, "modern", token=token("owner")) as peer:
        await peer.request("prompts/get", {"name": "odd__secret", "arguments": {"password": "hunter2"}})
        await peer.request("resources/read", {"uri": "odd://files/a"})
        await peer.request("completion/complete", complete(prompt="odd__secret", argument="password", value="hun"))
        await peer.request("completion/complete", complete("odd://files/{path}", value="open"))
        await peer.request("resources/read", {"uri": "odd://docs/missing"})
    async with http(shim.url, "modern", token=token("reader")) as peer:
        await peer.request("prompts/get", {"name": "odd__secret"})
        await peer.request("resources/read", {"uri": "odd://private/key"})
        await peer.request("resources/list")
    rows = await record(shim)
    assert [(row["method"], row["tool"], row["reason"], row["status"]) for row in rows] == [
        ("prompts/get", "prompt:odd/secret", "granted", "ok"),
        ("resources/read", "resource:odd/odd://files/a", "granted", "ok"),
        ("completion/complete", "prompt:odd/secret", "granted", "ok"),
        ("completion/complete", "template:odd/odd://files/{path}", "granted", "ok"),
        ("resources/read", "resource:odd/odd://docs/missing", "granted", "error"),
        ("prompts/get", "prompt:odd/secret", "no-grant", "denied"),
        ("resources/read", "resource:odd/odd://private/key", "no-grant", "denied"),
    ]
    assert "hunter2" not in json.dumps(rows)
    assert rows[1]["arguments"] == {"uri": "odd://files/a"}
    assert rows[1]["result"]["contents"][0]["text"] == "read odd://files/a"
    code, out, err = await run(shim.config, "log", "export", "--format", "jsonl", "--events")
    assert code == 0, err
    events = [json.loads(json.loads(line)["event"]) for line in out.splitlines()]
    (shown,) = [event["body"] for event in events if event["kind"] == "shown"]
    assert [one["tool"] for one in shown["resources"]] == [
        "resource:odd/odd://docs/one",
        "resource:odd/odd://docs/two%20b",
    ]
    assert [one["tool"] for one in shown["prompts"]] == ["prompt:odd/greet"]


async def record(shim: Shim) -> list[dict[str, Json]]:
    code, out, err = await run(shim.config, "log", "list", "--json")
    assert code == 0, err
    rows: list[dict[str, Json]] = json.loads(out)
    return sorted(rows, key=lambda row: row["seq"])


async def test_the_command_line_knows_prompts_and_resources(shim: Shim) -> None:
    async with http(shim.url, "modern", token=token("owner")) as peer:
        await peer.request("tools/list")  # the catalog has been read by then
    code, out, err = await run(shim.config, "tools", "--identity", "reader", "--json")
    assert code == 0, err
    assert [(row["kind"], row["tool"], row["grants"]) for row in json.loads(out)] == [
        ("tool", "odd/change_list", ["docs"]),
        ("prompt", "prompt:odd/greet", ["docs"]),
        ("resource", "resource:odd/odd://docs/one", ["docs"]),
        ("resource", "resource:odd/odd://docs/two%20b", ["docs"]),
        ("template", "template:odd/odd://files/{path}", ["files"]),
    ]
    asked = [
        ("reader", "resource:odd/odd://docs/x", "docs"),
        ("reader", "resource:odd/odd://docs/%2e%2e/x", None),
        ("reader", "prompt:odd/greet", "docs"),
        ("reader", "prompt:odd/review", None),
        ("careful", "resource:odd/odd://private/key", "one-only"),
    ]
    lines = "\n".join(json.dumps({"identity": who, "tool": ref}) for who, ref, _ in asked)
    code, out, err = await run(shim.config, "explain", "--batch", "-", stdin=lines.encode())
    assert code == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    assert [(one["decision"], one["grant"]) for one in found] == [
        ("allow" if grant is not None else "deny", grant) for _, _, grant in asked
    ]
    code, out, err = await run(shim.config, "call", "--identity", "reader", "resource:odd/odd://docs/one")
    assert (code, out) == (0, "read odd://docs/one\n"), err
    code, out, err = await run(shim.config, "call", "--identity", "careful", "prompt:odd/review", '{"code": "x"}')
    assert code == 0, err
    assert out.startswith("review ['code']\n")
    code, out, err = await run(shim.config, "call", "--identity", "reader", "resource:odd/odd://private/key")
    assert code == 1
    assert "Resource not found" in err
    code, out, err = await run(shim.config, "check", "--json")
    assert code == 0, err
    (upstream,) = json.loads(out)["upstreams"]
    assert (upstream["prompts"], upstream["resources"], upstream["templates"]) == (3, 3, 2)
