"""Functions that nobody here wrote, through the whole shim: types, results, the record; and no process is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import humanize
import pytest
import pytest_asyncio

from shim.model import Json, JsonObject
from tests.promises.running import Running, identity, run, serving, token, write_config
from tests.promises.wire import Era, http
from tests.secrets.asking import put
from tests.upstream.python.test_processes import TOOLS, group, until, written

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "canary-of-functions-5b21"
ERAS: tuple[Era, ...] = ("modern", "legacy")
CALLS: list[tuple[str, JsonObject]] = [
    ("apnumber", {"value": 5}),
    ("clamp", {"value": 123.456, "format": "{:,.1f}", "ceil": 100.0}),
    ("fractional", {"value": 1.5}),
    ("intcomma", {"value": 12345.678, "ndigits": 1}),
    ("intcomma", {"value": 2**53 + 1}),
    ("intword", {"value": "1200000", "format": "%.2f"}),
    ("metric", {"value": 1500.0, "unit": "V"}),
    ("natural_list", {"items": ["one", "two", "three"]}),
    ("naturaldelta", {"value": 4000.0, "months": False}),
    ("naturalsize", {"value": 3_000_000, "binary": True}),
    ("ordinal", {"value": 3}),
    ("precisedelta", {"value": 3633.0, "suppress": ["minutes"]}),
    ("scientific", {"value": 500, "precision": 1}),
]


@dataclass
class Setting:
    config: Path
    shim: Running
    seen: list[str]

    async def request(self, era: Era, method: str, params: JsonObject) -> JsonObject:
        async with http(self.shim.url, era, token=token("alice")) as peer:
            answer = await peer.request(method, params)
        self.seen.append(json.dumps(answer))
        result: JsonObject = answer["result"]
        return result

    async def call(self, tool: str, arguments: JsonObject, era: Era = "modern") -> JsonObject:
        return await self.request(era, "tools/call", {"name": tool, "arguments": arguments})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def setting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setting]:
    folder = tmp_path_factory.mktemp("functions")
    put(folder / "key", SECRET)
    config = write_config(
        folder,
        f"""version: 1
store: sqlite:shim.db
record: {{arguments: full, results: full}}
upstreams:
  human: {{python: ["humanize:*"]}}
  sums:
    python: ["sums:whoami", "sums:fails", "sums:add", "sums:stuck", "sums:order"]
    cwd: {TOOLS}
    inject: {{db: "${{secret:key}}"}}
identities:
{identity("alice")}
grants:
  - {{name: human, to: [alice], allow: ["human/*"]}}
  - {{name: sums, to: [alice], allow: ["sums/*"]}}
tools:
  sums/order: {{fixed: {{order: {{lines: [], due: tomorrow}}}}}}
secrets:
  key: {{source: file, path: key}}
""",
    )
    async with serving(config) as shim:
        yield Setting(config, shim, [])


@pytest.mark.parametrize("era", ERAS)
async def test_their_types_are_told(setting: Setting, era: Era) -> None:
    tools = {tool["name"]: tool for tool in (await setting.request(era, "tools/list", {}))["tools"]}
    assert {f"human__{name}" for name, _ in CALLS} <= tools.keys()
    size = tools["human__naturalsize"]
    assert size["description"].startswith("Format a number of bytes like a human-readable filesize")
    assert size["inputSchema"]["required"] == ["value"]
    assert size["inputSchema"]["additionalProperties"] is False
    assert size["inputSchema"]["properties"]["binary"] == {
        "type": "boolean",
        "default": False,
        "description": size["inputSchema"]["properties"]["binary"]["description"],
    }
    assert size["outputSchema"]["properties"]["result"]["type"] == "string"
    assert "db" not in tools["sums__whoami"]["inputSchema"]["properties"]
    assert all(not tool.get("_meta") for tool in tools.values())


@pytest.mark.parametrize("era", ERAS)
async def test_ten_functions_give_what_they_give_when_they_are_called_directly(setting: Setting, era: Era) -> None:
    for name, arguments in CALLS:
        expected: Json = getattr(humanize, name)(**arguments)
        result = await setting.call(f"human__{name}", arguments, era)
        assert not result.get("isError"), result
        assert result["structuredContent"] == {"result": expected}
        assert result["content"] == [{"type": "text", "text": expected}]


async def test_what_does_not_fit_is_denied_and_recorded_and_reaches_nothing(setting: Setting) -> None:
    refused = await setting.call("human__naturalsize", {"value": 1, "binary": "yes", "unit": "kB"})
    assert refused["isError"]
    assert "`binary`" in refused["content"][0]["text"]
    assert "'unit' was unexpected" in refused["content"][0]["text"]
    decision = refused["_meta"]["io.github.mcp-shim/decision"]
    assert (decision["decision"], decision["reason"]) == ("deny", "invalid-arguments")
    code, out, _ = await run(setting.config, "log", "show", decision["invocation"], "--json")
    assert code == 0
    assert [event["kind"] for event in json.loads(out)["events"]] == ["intent"]


async def test_what_only_a_function_knows_to_be_unfit_is_told_without_what_callers_do_not_see(setting: Setting) -> None:
    refused = await setting.call("sums__order", {})
    assert refused["content"][0]["text"] == (
        "The call was not made: what whoever runs this server puts into calls of the tool is unfit."
    )
    decision = refused["_meta"]["io.github.mcp-shim/decision"]
    assert decision["reason"] == "invalid-arguments"
    code, out, _ = await run(setting.config, "log", "show", decision["invocation"], "--json")
    assert code == 0
    assert "`order.due`" in json.loads(out)["error"]


async def test_a_secret_is_in_the_function_and_nowhere_else(setting: Setting) -> None:
    told = (await setting.call("sums__whoami", {}))["structuredContent"]
    assert told["identity"] == "alice"
    assert told["db"] == str(len(SECRET))
    code, out, _ = await run(setting.config, "log", "show", told["invocation"], "--json")
    assert code == 0
    assert json.loads(out)["run"] == told["run"]
    failed = await setting.call("sums__fails", {"text": "row"})
    assert failed["isError"]
    assert failed["content"][0]["text"] == "LookupError: no row in [hidden]"
    assert SECRET not in "".join([*setting.seen, *setting.shim.errors, out])
    assert any("LookupError" in line for line in setting.shim.errors)
    for file in setting.config.parent.glob("shim.db*"):
        assert SECRET.encode() not in file.read_bytes()


async def test_a_shim_that_is_killed_leaves_no_process(setting: Setting, tmp_path: Path) -> None:
    """The last one here: the others need the shim."""
    mark = tmp_path / "mark"
    call = asyncio.ensure_future(setting.call("sums__stuck", {"mark": str(mark)}))
    await until(lambda: written(mark) != "")
    pid = int(written(mark))
    assert len(group(pid)) == 2
    setting.shim.kill()
    await asyncio.wait([call])
    assert call.exception() is not None
    await until(lambda: not group(pid))
