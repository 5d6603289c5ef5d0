"""P6: what is not governed is not changed: a client cannot tell the fronted server from the real one.

Each server is asked the same things directly and through the shim, in each era it speaks, over both transports, and
the answers are compared as text, so that unknown members, nulls, big integers and the order of keys count. What may
differ is taken out first, and nothing else: names, the order of lists, `ttlMs`, `cacheScope`, `serverInfo`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from shim.model import Json, JsonObject
from tests.parts.fixtures import legacy_python, node
from tests.parts.odd import ROOT, odd_argv, odd_http
from tests.parts.peers import Node, sqlite_server
from tests.promises.running import BIN, SHIM, environment, identity, serving, token, write_config
from tests.promises.wire import LEGACY, MODERN, Era, Peer, http, stdio

__all__ = ["legacy_python", "node"]

SERVER_INFO = "io.modelcontextprotocol/serverInfo"
Through = Literal["stdio", "http"]


@dataclass(frozen=True)
class Case:
    """A server to start, and what it is asked. `url` is set instead of `argv` for one that serves HTTP."""

    argv: tuple[str, ...]
    calls: tuple[tuple[str, JsonObject], ...]
    cwd: Path
    url: str | None = None


def git(folder: Path, repository: Path) -> Case:
    where = {"repo_path": str(repository)}
    calls: tuple[tuple[str, JsonObject], ...] = (
        ("git_status", where),
        ("git_log", {**where, "max_count": 1}),
        ("git_show", {**where, "revision": "HEAD"}),
        ("git_show", {**where, "revision": "no-such-revision"}),
        ("git_diff_unstaged", {"repo_path": "/nowhere"}),
        ("git_status", {}),
    )
    return Case((f"{BIN}/mcp-server-git", "--repository", str(repository)), calls, folder)


def time(folder: Path, _repository: Path) -> Case:
    calls: tuple[tuple[str, JsonObject], ...] = (
        ("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}),
        ("convert_time", {"source_timezone": "Nowhere", "time": "12:00", "target_timezone": "UTC"}),
        ("get_current_time", {"zone": 1}),
    )
    return Case((f"{BIN}/mcp-server-time", "--local-timezone", "UTC"), calls, folder)


def sqlite(folder: Path, _repository: Path) -> Case:
    database = folder / "data.db"
    subprocess.run(["git", "--version"], check=True, capture_output=True)
    calls: tuple[tuple[str, JsonObject], ...] = (
        ("list_tables", {}),
        ("read_query", {"query": "SELECT 1 AS one, NULL AS nothing"}),
        ("read_query", {"query": "SELEKT"}),
        ("read_query", {}),
    )
    return Case(tuple(sqlite_server(database)), calls, folder)


ODD_CALLS: tuple[tuple[str, JsonObject], ...] = (
    ("echo", {"b": None, "a": [2**64, {"z": 1, "y": "\u00e9\u202e"}], "password": "p"}),
    ("odd", {}),
    ("every_content", {}),
    ("numbers", {}),
    ("key_order", {}),
    ("structured", {}),
    ("tool_error", {}),
    ("rpc_error", {}),
    ("large", {"bytes": 200_000}),
)


def odd(_folder: Path, _repository: Path) -> Case:
    return Case(tuple(odd_argv("both")), ODD_CALLS, ROOT)


def without_what_may_differ(result: JsonObject) -> JsonObject:
    kept = {key: value for key, value in result.items() if key not in ("ttlMs", "cacheScope", "nextCursor")}
    meta = kept.get("_meta")
    if isinstance(meta, dict) and SERVER_INFO in meta:
        rest = {key: value for key, value in meta.items() if key != SERVER_INFO}
        kept = {key: value for key, value in kept.items() if key != "_meta"} | ({"_meta": rest} if rest else {})
    return kept


def text_of(answer: JsonObject) -> str:
    """An answer as text, its members of the envelope and what may differ taken out."""
    body = {key: value for key, value in answer.items() if key not in ("jsonrpc", "id")}
    if isinstance(body.get("result"), dict):
        body["result"] = without_what_may_differ(body["result"])
    return json.dumps(body)


async def all_tools(peer: Peer) -> dict[str, str]:
    """Every tool of every page by its name, the definition as text without the name."""
    found: dict[str, str] = {}
    cursor: Json = None
    while True:
        result = (await peer.request("tools/list", {"cursor": cursor} if cursor is not None else {}))["result"]
        for tool in result["tools"]:
            found[tool["name"]] = json.dumps({key: value for key, value in tool.items() if key != "name"})
        cursor = result.get("nextCursor")
        if cursor is None:
            return found


@asynccontextmanager
async def directly(case: Case, era: Era) -> AsyncIterator[Peer]:
    if case.url is not None:
        async with http(case.url, era) as peer:
            yield peer
    else:
        async with stdio(case.argv, era, env=environment(case.cwd), cwd=case.cwd) as peer:
            yield peer


@asynccontextmanager
async def through_the_shim(
    case: Case, era: Era, transport: Through, folder: Path, upstream_era: str = "auto"
) -> AsyncIterator[Peer]:
    where = f"url: {case.url}" if case.url is not None else f"command: {json.dumps(case.argv)}\n    cwd: {case.cwd}"
    config = write_config(
        folder,
        f"version: 1\nstore: sqlite:var/shim.db\nupstreams:\n  up:\n    {where}\n    era: {upstream_era}\n"
        f'identities:\n{identity("one")}\ngrants:\n  - {{name: all, to: [one], allow: ["up/*"]}}\n',
    )
    if transport == "stdio":
        argv = [SHIM, "stdio", "--identity", "one", "--config", str(config)]
        async with stdio(argv, era, env=environment(folder)) as peer:
            yield peer
    else:
        async with serving(config) as shim, http(shim.url, era, token=token("one")) as peer:
            yield peer


async def compare(case: Case, era: Era, transport: Through, folder: Path) -> None:
    async with directly(case, era) as real:
        tools = await all_tools(real)
        answers = [text_of(await real.request("tools/call", {"name": n, "arguments": a})) for n, a in case.calls]
    # The same era on both sides: a server may well say different things in different ones.
    revision = MODERN if era == "modern" else LEGACY
    async with through_the_shim(case, era, transport, folder, revision) as fronted:
        assert await all_tools(fronted) == {f"up__{name}": definition for name, definition in tools.items()}
        for (name, arguments), expected in zip(case.calls, answers, strict=True):
            answer = await fronted.request("tools/call", {"name": f"up__{name}", "arguments": arguments})
            assert text_of(answer) == expected, name


BOTH: tuple[Era, ...] = ("modern", "legacy")
TRANSPORTS: tuple[Through, ...] = ("stdio", "http")


@pytest.mark.parametrize(
    ("server", "era", "transport"),
    [
        (git, "modern", "stdio"),
        (git, "legacy", "http"),
        (time, "modern", "http"),
        (time, "legacy", "stdio"),
        *((odd, era, transport) for era in BOTH for transport in TRANSPORTS),
    ],
)
async def test_servers_of_both_eras_are_fronted_unchanged(
    server: object, era: Era, transport: Through, tmp_path: Path, repository: Path
) -> None:
    assert callable(server)
    await compare(server(tmp_path, repository), era, transport, tmp_path)


@pytest.mark.usefixtures("legacy_python")
async def test_a_legacy_server_is_fronted_unchanged(tmp_path: Path, repository: Path) -> None:
    await compare(sqlite(tmp_path, repository), "legacy", "stdio", tmp_path)


async def test_server_everything_s_tools_are_fronted_unchanged(tmp_path: Path, node: Node) -> None:
    calls: tuple[tuple[str, JsonObject], ...] = (
        ("echo", {"message": "\u202e\u00e9"}),
        ("get-sum", {"a": 1, "b": 2.5}),
        ("get-tiny-image", {}),
        ("get-structured-content", {"location": "Chicago"}),
        ("echo", {"message": 1}),
    )
    await compare(Case(tuple(node.everything()), calls, tmp_path), "legacy", "stdio", tmp_path)


async def test_server_filesystem_is_fronted_unchanged(tmp_path: Path, node: Node) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_text("one\ntwo\n")
    calls: tuple[tuple[str, JsonObject], ...] = (
        ("list_directory", {"path": str(files)}),
        ("read_text_file", {"path": str(files / "a.txt"), "head": 1}),
        ("read_text_file", {"path": "/etc/passwd"}),
        ("get_file_info", {"path": str(files / "none")}),
        ("edit_file", {"path": str(files / "a.txt"), "edits": [{"oldText": "two", "newText": "2"}], "dryRun": True}),
    )
    await compare(Case(tuple(node.filesystem(files)), calls, tmp_path), "legacy", "http", tmp_path)


@pytest.mark.parametrize("era", BOTH)
async def test_an_http_server_is_fronted_unchanged(era: Era, tmp_path: Path) -> None:
    async with odd_http("both") as url:
        await compare(Case((), ODD_CALLS, ROOT, url), era, "http", tmp_path)


ACROSS: tuple[tuple[Era, Era], ...] = (("legacy", "modern"), ("modern", "legacy"))


@pytest.mark.parametrize(("upstream", "client"), ACROSS)
async def test_across_eras_only_what_an_era_cannot_express_differs(upstream: Era, client: Era, tmp_path: Path) -> None:
    """`resultType` is there for modern clients and absent for legacy ones; all else is what the server said."""
    case = Case(tuple(odd_argv(upstream)), ODD_CALLS, ROOT)

    def era_neutral(text: str) -> JsonObject:
        answer: JsonObject = json.loads(text)
        if "result" in answer:
            answer["result"].pop("resultType", None)
        return answer

    async with directly(case, upstream) as real:
        answers = [text_of(await real.request("tools/call", {"name": n, "arguments": a})) for n, a in ODD_CALLS]
    async with through_the_shim(case, client, "http", tmp_path) as fronted:
        for (name, arguments), expected in zip(ODD_CALLS, answers, strict=True):
            answer = await fronted.request("tools/call", {"name": f"up__{name}", "arguments": arguments})
            assert ("resultType" in answer.get("result", {})) == (client == "modern" and "result" in answer)
            assert era_neutral(text_of(answer)) == era_neutral(expected), name
