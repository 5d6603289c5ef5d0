"""Tools as the operator wants them: clients see and call them so; policy, record and upstream know the real ones."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from shim.model import JsonObject
from tests.parts.odd import ROOT, odd_argv, odd_http, read_ledger
from tests.promises.changing import connected, events, names
from tests.promises.running import Running, identity, run, serving, token, write_config
from tests.promises.wire import Era, HttpPeer, http

pytestmark = pytest.mark.asyncio(loop_scope="module")

ERAS: tuple[Era, ...] = ("modern", "legacy")
TOOLS = """\
tools:
  new/note: {rename: keep.id, description: "Keeps an id."}
  old/not?: {rename: keep, description: "Keeps an id."}
  "*/by_region": {hide: [where], default: {region: north}}
  "*/slow": {timeout: 300ms}
  new/odd: {rename: echo}
  old/e*: {rename: any}
"""
SHOWN = {"new__keep.id", "old__keep", "new__by_region", "old__by_region", "new__slow", "old__slow", "new__echo"}


@dataclass
class Setting:
    """A shim in front of the odd server, modern over HTTP and legacy over stdio."""

    folder: Path
    config: Path
    shim: Running

    def ledger(self, upstream: str) -> list[JsonObject]:
        return read_ledger(self.folder / upstream)

    def peer(self, who: str = "alice", era: Era = "modern") -> AbstractAsyncContextManager[HttpPeer]:
        return http(self.shim.url, era, token=token(who))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def setting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setting]:
    folder = tmp_path_factory.mktemp("curated")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(odd_http("modern", ledger=folder / "new"))
        argv = json.dumps(odd_argv("legacy", ledger=folder / "old"))
        config = write_config(
            folder,
            f"""version: 1
store: sqlite:shim.db
record: {{arguments: full, results: full}}
upstreams:
  new: {{url: {url}}}
  old: {{command: {argv}, cwd: {ROOT}, isolation: shared}}
identities:
{identity("alice")}{identity("bob")}{identity("carol")}
grants:
  - {{name: hers, to: [alice], allow: ["*/note", "*/by_region", "*/slow", new/odd, new/echo, "old/e*"]}}
  - {{name: his, to: [bob], allow: ["new/keep.id", "old/keep", "new/any"]}}
  - {{name: if-left-out, to: [carol], allow: ["*/by_region"], when: "!has(args.region)"}}
{TOOLS}""",
        )
        yield Setting(folder, config, await stack.enter_async_context(serving(config)))


async def call(peer: HttpPeer, tool: str, arguments: JsonObject | None = None) -> JsonObject:
    return await peer.request("tools/call", {"name": tool, "arguments": arguments or {}})


def reason(answer: JsonObject) -> str:
    return str(answer["result"]["_meta"]["io.github.mcp-shim/decision"]["reason"])


@pytest.mark.parametrize("era", ERAS)
async def test_clients_see_and_call_tools_by_the_names_that_the_operator_gave(setting: Setting, era: Era) -> None:
    async with setting.peer("alice", era) as peer:
        listed = {tool["name"]: tool for tool in (await peer.request("tools/list"))["result"]["tools"]}
        assert listed.keys() == SHOWN
        for upstream, name in (("new", "new__keep.id"), ("old", "old__keep")):
            assert listed[name]["description"] == "Keeps an id."
            begun = len(setting.ledger(upstream))
            assert "result" in await call(peer, name, {"id": f"by-{era}"})
            (entry,) = setting.ledger(upstream)[begun:]
            assert (entry["tool"], entry["arguments"]) == ("note", {"id": f"by-{era}"})
        # What new calls `odd` has the name of what it calls `echo`, also when it is called.
        assert listed["new__echo"]["futureMember"] == {"list": [None, {}]}
        await call(peer, "new__echo", {"a": 1})
        assert setting.ledger("new")[-1]["tool"] == "odd"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("upstream", ["new", "old"])
async def test_the_names_that_tools_had_are_unknown_like_any_other(setting: Setting, upstream: str, era: Era) -> None:
    begun = len(setting.ledger(upstream))
    renamed = "new__keep.id" if upstream == "new" else "old__keep"
    asked = [("alice", f"{upstream}__note"), ("alice", f"{upstream}__none"), ("bob", renamed), ("carol", renamed)]
    asked += [("alice", "old__any"), ("alice", "old__echo"), ("alice", "new__odd")]
    said = set()
    for who, name in asked:
        async with setting.peer(who, era) as peer:
            await call(peer, name, {"id": "x"})
            assert peer.last is not None
            # An event stream has ids of its own.
            (answer,) = [line for line in peer.last.text.splitlines() if '"error"' in line]
            said.add(re.sub('"id":[0-9]+', '"id":0', answer).replace(name, "NAME"))
    assert len(said) == 1, said
    assert "Unknown tool: NAME" in said.pop()
    assert len(setting.ledger(upstream)) == begun


async def test_policy_and_record_have_the_real_names(setting: Setting) -> None:
    async with setting.peer("alice") as peer:
        await call(peer, "new__keep.id", {"id": "recorded"})
        await call(peer, "new__note", {"id": "unknown"})
    async with setting.peer("bob") as peer:
        assert (await peer.request("tools/list"))["result"]["tools"] == []
    _, out, _ = await run(setting.config, "log", "export", "--format", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    (known,) = [row for row in rows if (row["arguments"] or {}).get("id") == "recorded"]
    (unknown,) = [row for row in rows if (row["arguments"] or {}).get("id") == "unknown"]
    assert (known["tool"], known["upstream"], known["grant"]) == ("new/note", "new", "hers")
    assert (unknown["tool"], unknown["upstream"], unknown["reason"]) == ("new__note", None, "unknown-tool")
    shown = [body for body in await events(setting.config, "shown") if body["identity"] == "alice"]
    assert {"new/note": "new__keep.id", "old/note": "old__keep"}.items() <= {
        tool["tool"]: tool["name"] for tool in shown[-1]["tools"]
    }.items()


@pytest.mark.parametrize("upstream", ["new", "old"])
async def test_a_default_is_sent_where_the_caller_sends_none_and_what_is_hidden_never(
    setting: Setting, upstream: str
) -> None:
    tool = f"{upstream}__by_region"
    async with setting.peer() as peer:
        listed = (await peer.request("tools/list"))["result"]["tools"]
        (schema,) = [each["inputSchema"] for each in listed if each["name"] == tool]
        assert (list(schema["properties"]), schema["required"]) == (["region"], [])
        assert schema["properties"]["region"]["default"] == "north"
        begun = len(setting.ledger(upstream))
        # Over HTTP the odd server refuses a call whose headers do not repeat what is sent.
        assert "result" in await call(peer, tool)
        assert [entry["arguments"] for entry in setting.ledger(upstream)[begun:]] == [{"region": "north"}]
        hidden, nothing = [await call(peer, tool, {name: {}}) for name in ("where", "nothing")]
        assert (reason(hidden), reason(nothing)) == ("invalid-arguments", "invalid-arguments")
        assert hidden["result"]["content"] == nothing["result"]["content"]
        assert len(setting.ledger(upstream)) == begun + 1


async def test_conditions_see_what_the_caller_sent(setting: Setting) -> None:
    async with setting.peer("carol", "legacy") as peer:
        assert reason(await call(peer, "old__by_region", {"region": "south"})) == "condition-false"
        assert "structuredContent" in (await call(peer, "old__by_region"))["result"]
    assert setting.ledger("old")[-1]["arguments"] == {"region": "north"}
    _, out, _ = await run(setting.config, "log", "export", "--format", "jsonl")
    assert json.loads(out.splitlines()[-1])["arguments"] == {}


@pytest.mark.parametrize("upstream", ["new", "old"])
async def test_a_tool_has_its_own_time(setting: Setting, upstream: str) -> None:
    async with setting.peer() as peer:
        answer = await call(peer, f"{upstream}__slow", {"key": "timed"})
    assert reason(answer) == "upstream-timeout"
    assert "0.3 s" in answer["result"]["content"][0]["text"]


async def test_the_header_that_repeats_the_name_has_it_as_the_client_sees_it(setting: Setting) -> None:
    async with setting.peer() as peer:
        assert "result" in await call(peer, "new__keep.id", {"id": "header"})
        begun = len(setting.ledger("new"))
        params = {"name": "new__keep.id", "arguments": {"id": "other"}, "_meta": {}}
        headers = {"mcp-method": "tools/call", "mcp-name": "new__note"}
        response = await peer.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers)
    assert response.status_code == 400
    assert len(setting.ledger("new")) == begun


async def test_the_command_line_shows_and_takes_both_names(setting: Setting) -> None:
    code, out, _ = await run(setting.config, "tools", "--identity", "alice", "--json", "--tool", "new/keep.id")
    assert (code, [(row["tool"], row["name"]) for row in json.loads(out)]) == (0, [("new/note", "new__keep.id")])
    begun = len(setting.ledger("new"))
    code, _, err = await run(setting.config, "call", "--identity", "alice", "new/keep.id", '{"id": "typed"}')
    assert code == 0, err
    assert [entry["tool"] for entry in setting.ledger("new")[begun:]] == ["note"]
    # What was left out for its name is not the tool that has it now.
    code, _, err = await run(setting.config, "call", "--identity", "alice", "new/echo", "{}")
    assert (code, "Unknown tool" in err, len(setting.ledger("new"))) == (1, True, begun + 1)
    asked = [("alice", "new/note"), ("alice", "new__keep.id"), ("bob", "new/keep.id"), ("bob", "new/any")]
    lines = "\n".join(json.dumps({"identity": who, "tool": tool}) for who, tool in asked)
    _, out, _ = await run(setting.config, "explain", "--batch", "-", stdin=lines.encode())
    # A tool that nobody has is decided as if it were there.
    assert [json.loads(line)["decision"] for line in out.splitlines()] == ["allow", "allow", "deny", "allow"]


async def test_check_says_what_was_left_out_for_its_name(setting: Setting) -> None:
    _, out, _ = await run(setting.config, "check", "--offline", "--json")
    said = [text for problem in json.loads(out)["problems"] if (text := problem["message"]).startswith("left out")]
    many = "`old/e*` renames 2 tools to any; write a pattern for one of them"
    assert said == [
        "left out new/echo: its wire name new__echo is that of new/odd, which is renamed so",
        f"left out old/echo: {many}",
        f"left out old/every_content: {many}",
    ]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_clients_are_told_when_a_name_changes(setting: Setting, mode: str) -> None:
    text = setting.config.read_text()
    async with connected(setting.shim.url, "alice", "legacy" if mode == "legacy" else "auto") as (client, told):
        assert "new__keep.id" in await names(client)
        try:
            setting.config.write_text(text.replace("rename: keep.id", "rename: keep-id"))
            await told.reaches(1)
            assert {"new__keep.id", "new__keep-id"} & {*await names(client)} == {"new__keep-id"}
            answer = await client.call_tool("new__keep-id", {"id": "told"})
            assert not answer.is_error
        finally:
            setting.config.write_text(text)
            await told.reaches(2)
