"""What the operator puts into calls: the upstream gets it, callers neither see nor send it, and nothing keeps it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from shim.model import JsonObject
from tests.parts.odd import ROOT, odd_argv, odd_http, read_ledger
from tests.promises.changing import until
from tests.promises.running import Running, identity, run, serving, token, write_config
from tests.promises.wire import Era, HttpPeer, http
from tests.secrets.asking import put

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEYS = {"alice": "canary-alice-7f3a", "bob": "canary-bob-9c51"}
TOKEN = "com.example/token"
ERAS: tuple[Era, ...] = ("modern", "legacy")
UPSTREAMS = ("new", "old")
TOOLS = """\
tools:
  "*/by_region":
    fixed: {region: "${secret:key}"}
    meta: {com.example/token: "Bearer ${secret:key}", com.example/level: 3}
  new/echo: {fixed: {desk: {ids: [7, "7", true], note: null}, from: "desk-1"}}
"""


@dataclass
class Setting:
    """A shim in front of the odd server, modern over HTTP and legacy over stdio; `key` is another secret for `bob`."""

    folder: Path
    config: Path
    shim: Running

    def ledger(self, upstream: str) -> list[JsonObject]:
        return read_ledger(self.folder / upstream)

    def peer(self, who: str, era: Era = "modern") -> AbstractAsyncContextManager[HttpPeer]:
        return http(self.shim.url, era, token=token(who))


def written(folder: Path, url: str, tools: str = TOOLS) -> Path:
    for name, value in KEYS.items():
        put(folder / name, value)
    argv = json.dumps(odd_argv("legacy", ledger=folder / "old"))
    return write_config(
        folder,
        f"""version: 1
store: sqlite:shim.db
record: {{arguments: full, results: full}}
upstreams:
  new: {{url: {url}}}
  old: {{command: {argv}, cwd: {ROOT}, isolation: shared}}
identities:
{identity("alice")}{identity("bob")}
grants:
  - {{name: hers, to: [alice], allow: ["**", "prompt:**", "resource:**"]}}
  - {{name: his, to: [bob], allow: ["**"], bind: {{key: bob}}}}
secrets:
  key: {{source: file, path: alice}}
  bob: {{source: file, path: bob}}
{tools}""",
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def setting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setting]:
    folder = tmp_path_factory.mktemp("fixed")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(odd_http("modern", ledger=folder / "new"))
        config = written(folder, url)
        yield Setting(folder, config, await stack.enter_async_context(serving(config)))


async def call(peer: HttpPeer, tool: str, arguments: JsonObject, **meta: object) -> JsonObject:
    answer = await peer.request("tools/call", {"name": tool, "arguments": arguments, "_meta": meta})
    result: JsonObject = answer["result"]
    return result


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_fixed_is_in_no_schema_that_clients_see(setting: Setting, era: Era) -> None:
    async with setting.peer("alice", era) as peer:
        answer = await peer.request("tools/list")
    seen = {tool["name"]: tool["inputSchema"] for tool in answer["result"]["tools"]}
    for upstream in UPSTREAMS:
        schema = seen[f"{upstream}__by_region"]
        assert (list(schema["properties"]), schema["required"]) == (["where"], [])
    assert "canary" not in json.dumps(answer)
    assert "desk" not in json.dumps(answer)


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("who", KEYS)
async def test_each_identity_calls_with_the_key_that_its_grant_binds(setting: Setting, upstream: str, who: str) -> None:
    begun = len(setting.ledger(upstream))
    for era in ERAS:
        async with setting.peer(who, era) as peer:
            # when the caller sends its own part, and claims one of the operator's members
            result = await call(
                peer,
                f"{upstream}__by_region",
                {"where": {"floor": 3}} if era == "legacy" else {},
                **{TOKEN: "mine", "mine": 1},
            )
        # then it hears nothing of what the tool says back
        assert "canary" not in json.dumps(result)
        assert result["structuredContent"]["region"] == "[secret:key]"
    modern, legacy = setting.ledger(upstream)[begun:]
    assert modern["arguments"] == {"region": KEYS[who]}
    assert legacy["arguments"] == {"where": {"floor": 3}, "region": KEYS[who]}
    for entry in (modern, legacy):
        assert entry["meta"].items() >= {TOKEN: f"Bearer {KEYS[who]}", "com.example/level": 3, "mine": 1}.items()


async def test_sessions_are_not_kept_apart_by_what_travels_with_calls(setting: Setting) -> None:
    begun = len(setting.ledger("old"))
    for who in ("alice", "bob", "alice"):
        async with setting.peer(who) as peer:
            await call(peer, "old__by_region", {})
    assert len({entry["pid"] for entry in setting.ledger("old")[begun:]}) == 1


async def test_any_json_is_put_in_as_it_was_written(setting: Setting) -> None:
    async with setting.peer("alice") as peer:
        result = await call(peer, "new__echo", {"a": 1})
    assert result["structuredContent"] == {"a": 1, "desk": {"ids": [7, "7", True], "note": None}, "from": "desk-1"}


@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_what_is_hidden_is_refused_as_what_there_is_not_and_nothing_starts(
    setting: Setting, upstream: str
) -> None:
    begun = len(setting.ledger(upstream))
    async with setting.peer("alice") as peer:
        hidden, nothing = [
            await call(peer, f"{upstream}__by_region", {name: "canary-of-the-caller"}) for name in ("region", "nothing")
        ]
    said = [answer["_meta"].pop("io.github.mcp-shim/decision") for answer in (hidden, nothing)]
    assert json.dumps(hidden) == json.dumps(nothing)
    assert hidden["isError"]
    for each in said:
        assert (each["decision"], each["reason"], each["grant"]) == ("deny", "invalid-arguments", "hers")
    assert len(setting.ledger(upstream)) == begun


async def test_prompts_and_resources_get_nothing(setting: Setting) -> None:
    async with setting.peer("alice") as peer:
        listed = await peer.request("prompts/list")
        name = next(one["name"] for one in listed["result"]["prompts"] if one["name"].startswith("new__"))
        assert "result" in await peer.request("prompts/get", {"name": name, "arguments": {}})
        assert "result" in await peer.request("resources/read", {"uri": "odd://docs/one"})
    prompt, resource = setting.ledger("new")[-2:]
    assert (prompt["tool"].partition(" ")[0], resource["tool"]) == ("prompt", "read odd://docs/one")
    assert (prompt["arguments"], prompt["meta"], resource["meta"]) == ({}, {}, {})


async def test_the_record_has_what_the_caller_sent_and_the_lease_and_no_value(setting: Setting) -> None:
    async with setting.peer("bob", "legacy") as peer:
        await call(peer, "old__by_region", {"where": {"floor": 9}})
    code, out, err = await run(setting.config, "log", "export", "--format", "jsonl")
    assert code == 0, err
    row = json.loads(out.splitlines()[-1])
    assert row["arguments"] == {"where": {"floor": 9}}
    assert [secret["name"] for secret in row["secrets"]] == ["bob"]
    assert row["redactions"] >= 1
    _, events, _ = await run(setting.config, "log", "export", "--format", "jsonl", "--events")
    kept = b"".join(path.read_bytes() for path in setting.folder.glob("shim.db*"))
    for value in KEYS.values():
        assert value not in out + events + "".join(setting.shim.errors)
        assert value.encode() not in kept


async def test_the_command_line_agrees(setting: Setting) -> None:
    code, out, _ = await run(setting.config, "call", "--identity", "bob", "new/by_region", "{}")
    assert (code, "canary" in out) == (0, False)
    assert setting.ledger("new")[-1]["arguments"] == {"region": KEYS["bob"]}
    lines = [
        {"identity": "bob", "tool": "new/by_region", "args": {name: {}}} for name in ("where", "region", "nothing")
    ]
    batch = "\n".join(map(json.dumps, lines)).encode()
    _, out, _ = await run(setting.config, "explain", "--batch", "-", stdin=batch)
    decided = [json.loads(line) for line in out.splitlines()]
    assert [one["reason"] for one in decided] == ["granted", "invalid-arguments", "invalid-arguments"]
    assert [one["grant"] for one in decided] == ["his"] * 3


async def test_check_says_what_is_fixed_for_no_tool(setting: Setting) -> None:
    other = setting.folder / "other.yaml"
    other.write_text(setting.config.read_text() + '  "*/note": {fixed: {none: 1, id: x}}\n')
    code, out, _ = await run(other, "check", "--offline", "--json")
    problems = {problem["line"]: problem for problem in json.loads(out)["problems"]}
    line = other.read_text().splitlines().index('  "*/note": {fixed: {none: 1, id: x}}') + 1
    idle = problems.pop(line)
    assert (code, idle["level"]) == (0, "warning")
    assert "`*/note` fixes 'none', and none of 2 tools has such an argument" in idle["message"]
    # The key is used, and by what.
    (key,) = problems.values()
    assert "key is long-lived: it holds until somebody changes it (handed to */by_region)" in key["message"]


async def test_a_reload_changes_what_is_put_in_and_what_is_seen(setting: Setting) -> None:
    try:
        async with setting.peer("alice", "legacy") as peer:
            # when something else is fixed
            text = setting.config.read_text()
            setting.config.write_text(text.replace(TOOLS, TOOLS.replace('region: "${secret:key}"', "where: 1")))

            async def sees_region() -> bool:
                tools = (await peer.request("tools/list"))["result"]["tools"]
                return any("region" in tool["inputSchema"].get("properties", ()) for tool in tools)

            await until(sees_region)
            await call(peer, "old__by_region", {"region": "north"})
        assert setting.ledger("old")[-1]["arguments"] == {"region": "north", "where": 1}
    finally:
        setting.config.write_text(text)
