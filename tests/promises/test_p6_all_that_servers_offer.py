"""P6 for prompts, resources, templates and completions: the fronted server is the real one but for the list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shim.model import Json, JsonObject
from tests.parts.fixtures import node
from tests.parts.odd import ROOT, odd_argv
from tests.parts.peers import Node
from tests.promises.running import SHIM, environment, identity, write_config
from tests.promises.test_p6_not_changed import text_of
from tests.promises.wire import Era, Peer, stdio

__all__ = ["node"]

LISTS = {
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}

Ask = tuple[str, JsonObject]


async def listed(peer: Peer, method: str) -> dict[str, str]:
    """All of a list by name or URI, each definition as text without its name."""
    member, key = LISTS[method]
    found: dict[str, str] = {}
    cursor: Json = None
    while True:
        result = (await peer.request(method, {"cursor": cursor} if cursor is not None else {}))["result"]
        for one in result[member]:
            found[one[key]] = json.dumps({name: value for name, value in one.items() if name != "name"})
        cursor = result.get("nextCursor")
        if cursor is None:
            return found


def prefixed(ask: Ask) -> Ask:
    """The same request as it is made of the shim, where prompts have a prefix."""
    method, params = ask
    if "name" in params:
        return method, {**params, "name": f"up__{params['name']}"}
    if params.get("ref", {}).get("type") == "ref/prompt":
        return method, {**params, "ref": {**params["ref"], "name": f"up__{params['ref']['name']}"}}
    return ask


def config(folder: Path, argv: list[str], cwd: Path, era: str = "auto", grants: str | None = None) -> Path:
    allow = grants or '["up/*", "prompt:up/*", "resource:up/**"]'
    return write_config(
        folder,
        f"version: 1\nstore: sqlite:var/shim.db\nupstreams:\n  up:\n    command: {json.dumps(argv)}\n    cwd: {cwd}\n"
        f"    era: {era}\nidentities:\n{identity('one')}\ngrants:\n  - {{name: all, to: [one], allow: {allow}}}\n",
    )


def fronted(path: Path) -> list[str]:
    return [SHIM, "stdio", "--identity", "one", "--config", str(path)]


def as_heard(answer: JsonObject) -> JsonObject:
    """An answer without what only one of the eras has."""
    heard: JsonObject = json.loads(text_of(answer))
    if "result" in heard:
        heard["result"].pop("resultType", None)
    if heard.get("error", {}).get("code") == -32002:
        heard["error"]["code"] = -32602
    return heard


async def compare(folder: Path, argv: list[str], cwd: Path, asks: list[Ask], real_era: Era, era: Era) -> None:
    env = environment(cwd)
    async with stdio(argv, real_era, env=env, cwd=cwd) as real:
        lists = {method: await listed(real, method) for method in LISTS}
        answers = [await real.request(*ask) for ask in asks]
    revision = {"modern": "2026-07-28", "legacy": "2025-11-25"}[real_era]
    async with stdio(fronted(config(folder, argv, cwd, revision)), era, env=environment(folder)) as shim:
        for method, expected in lists.items():
            prefix = "up__" if method == "prompts/list" else ""
            assert await listed(shim, method) == {f"{prefix}{name}": text for name, text in expected.items()}
        for ask, answer in zip(asks, answers, strict=True):
            told = await shim.request(*prefixed(ask))
            if real_era == era:
                assert text_of(told) == text_of(answer).replace(*FORGED), ask
            else:
                assert as_heard(told) == json.loads(json.dumps(as_heard(answer)).replace(*FORGED)), ask
            if era == "modern" and "result" in told:
                cached = ask[0] == "resources/read"
                assert ("ttlMs" in told["result"]) is cached
                assert told["result"].get("cacheScope") == ("private" if cached else None)
            if era == "legacy":
                assert not {"resultType", "ttlMs", "cacheScope"} & told.get("result", {}).keys()


FORGED = ('"io.github.mcp-shim/decision": "forged", ', "")
"""What upstreams cannot set."""


def of_everything(resource: str) -> list[Ask]:
    return [
        ("prompts/get", {"name": "simple-prompt"}),
        ("prompts/get", {"name": "args-prompt", "arguments": {"city": "Rome", "state": "Lazio"}}),
        ("prompts/get", {"name": "args-prompt", "arguments": {}}),
        ("resources/read", {"uri": resource}),
        ("resources/read", {"uri": "demo://resource/dynamic/text/no-number"}),
        ("resources/read", {"uri": "demo://nobody/has/this"}),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": "completable-prompt"},
                "argument": {"name": "department", "value": "E"},
            },
        ),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/resource", "uri": "demo://resource/dynamic/text/{resourceId}"},
                "argument": {"name": "resourceId", "value": "1"},
            },
        ),
    ]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_server_everything_is_fronted_unchanged(era: Era, node: Node, tmp_path: Path) -> None:
    argv = node.everything()
    async with stdio(argv, "legacy", env=environment(tmp_path), cwd=tmp_path) as real:
        resource = sorted(await listed(real, "resources/list"))[0]
        assert len(await listed(real, "prompts/list")) >= 4
        assert len(await listed(real, "resources/templates/list")) >= 2
    await compare(tmp_path, argv, tmp_path, of_everything(resource), "legacy", era)


ODD: list[Ask] = [
    ("prompts/get", {"name": "review", "arguments": {"code": "x", "style": "\u202e"}}),
    ("prompts/get", {"name": "greet"}),
    ("resources/read", {"uri": "odd://docs/one"}),
    ("resources/read", {"uri": "odd://docs/two%20b"}),
    ("resources/read", {"uri": "odd://files/\u00e9.txt"}),
    ("resources/read", {"uri": "odd://files/missing"}),
    (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "review", "x": 1}, "argument": {"name": "style", "value": "open"}},
    ),
    (
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": "odd://files/{path}"},
            "argument": {"name": "path", "value": ""},
            "context": {"arguments": {"other": "1"}},
        },
    ),
]


@pytest.mark.parametrize(
    ("real", "era"),
    [("modern", "modern"), ("legacy", "legacy"), ("legacy", "modern"), ("modern", "legacy")],
)
async def test_members_that_no_revision_names_pass_in_all_eras(real: Era, era: Era, tmp_path: Path) -> None:
    await compare(tmp_path, odd_argv(real), ROOT, ODD, real, era)
