"""`call`: the whole path, and the exit code that says how it ended."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import edit, leaving_traces
from tests.cli.desk import SAYS
from tests.promises.running import BIN, SHIM, environment, run

LOG = '{"repo_path": "sample", "max_count": 1}'


async def test_an_answer_is_0_and_on_the_record(config: Path) -> None:
    code, out, err = await run(config, "call", "--identity", "reader", "git/git_log", LOG, "--json")
    assert code == 0, err
    assert "Say where we are going" in json.loads(out)["result"]["content"][0]["text"]
    _, rows, _ = await run(config, "log", "list", "--json")
    [row] = json.loads(rows)
    assert (row["identity"], row["credential"], row["transport"]) == ("reader", "local", "cli")
    assert (row["tool"], row["status"], row["client"]["name"]) == ("git/git_log", "ok", "mcp-shim")
    assert row["arguments"] == json.loads(LOG)


@pytest.mark.parametrize("tool", ["git/git_commit", "git/git_nothing", "nowhere/nothing", "nothing"])
async def test_hidden_and_unknown_are_1_and_look_the_same(config: Path, tool: str) -> None:
    code, out, err = await run(config, "call", "--identity", "reader", tool)
    wire = tool.replace("/", "__") if tool.startswith("git/") else tool
    assert (code, out, err) == (1, "", f"mcp-shim: Unknown tool: {wire}\n")
    _, rows, _ = await run(config, "log", "list", "--json")
    assert [(row["decision"], row["reason"]) for row in json.loads(rows)] == [("deny", "no-grant")]


async def test_a_call_starts_its_own_upstream_and_no_other(config: Path) -> None:
    trace = leaving_traces(config, "other")
    code, _, err = await run(config, "call", "--identity", "reader", "git/git_log", LOG)
    assert (code, err, trace.exists()) == (0, "", False)
    _, rows, _ = await run(config, "log", "list", "--json")
    assert [(row["tool"], row["status"]) for row in json.loads(rows)] == [("git/git_log", "ok")]


async def test_an_upstream_that_takes_the_name_of_the_tool_still_does(config: Path) -> None:
    # Given a tool whose name another upstream, configured before, has on the wire
    server = [sys.executable, "-c", SAYS]
    tools = json.dumps([{"name": "log", "inputSchema": {"type": "object"}}])
    first = {"command": server, "env": {"TOOLS": tools}, "prefix": "git__git_"}
    edit(config, "upstreams:\n", f"upstreams:\n  first: {json.dumps(first)}\n")
    code, _, err = await run(config, "call", "--identity", "reader", "git/git_log", LOG)
    assert (code, err.splitlines()[-1]) == (1, "mcp-shim: Unknown tool: git__git_log")
    assert "already taken by first/log" in err


async def test_why_the_tool_may_not_be_there_is_said_once(config: Path) -> None:
    edit(config, "mcp-server-time", "mcp-server-nowhere")
    code, _, err = await run(config, "call", "--identity", "reader", "time/convert_time")
    why, answer = err.splitlines()
    assert "mcp-server-nowhere was not found" in why
    assert (code, answer) == (1, "mcp-shim: Unknown tool: time__convert_time")


async def test_why_a_known_tool_does_not_answer_is_said_once(config: Path) -> None:
    await run(config, "call", "--identity", "reader", "time/get_current_time", '{"timezone": "Etc/UTC"}')
    edit(config, "mcp-server-time", "mcp-server-nowhere")
    code, out, err = await run(config, "call", "--identity", "reader", "time/get_current_time")
    assert (code, out.count("is not available"), err) == (1, 1, "")


async def test_what_a_caller_is_not_told_of_its_upstream_a_person_is(config: Path) -> None:
    await run(config, "call", "--identity", "reader", "time/get_current_time", '{"timezone": "Etc/UTC"}')
    dies = [sys.executable, "-c", "raise SystemExit('error: no such zone')"]
    edit(config, f"[{BIN}/mcp-server-time, --local-timezone, Etc/UTC]", json.dumps(dies))
    code, out, err = await run(config, "call", "--identity", "reader", "time/get_current_time")
    assert (code, "no such zone" in out) == (1, False)
    assert err == 'The upstream time is not available: its process ended with status 1: "error: no such zone".\n'


async def test_a_refusal_and_an_error_of_the_tool_are_1(config: Path) -> None:
    long = json.dumps({"repo_path": "sample", "message": "x" * 20})
    code, out, _ = await run(config, "call", "--identity", "writer", "git/git_commit", long, "--json")
    assert code == 1
    decision = json.loads(out)["result"]["_meta"]["io.github.mcp-shim/decision"]
    assert decision["reason"] == "condition-false"
    code, _, _ = await run(config, "call", "--identity", "reader", "git/git_log", '{"repo_path": "elsewhere"}')
    assert code == 1


async def test_an_identity_that_is_not_local_needs_its_own_token(config: Path) -> None:
    _, token, _ = await run(config, "token", "new", "remote")
    _, other, _ = await run(config, "token", "new", "reader")

    async def call(with_token: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(SHIM, "call", "--identity", "remote", "git/nothing", "--config", str(config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environment(config.parent), "MCP_SHIM_TOKEN": with_token},
        )
        _, err = await process.communicate()
        return process.returncode or 0, err.decode()

    assert await call(token.strip()) == (1, "mcp-shim: Unknown tool: git__nothing\n")
    code, err = await call(other.strip())
    assert code == 1
    assert "not one of remote" in err
    code, err = await call("mcpshim_wrong")
    assert code == 1
    assert "MCP_SHIM_TOKEN is not accepted" in err
    _, rows, _ = await run(config, "log", "list", "--json")
    assert [row["identity"] for row in json.loads(rows)] == ["remote"]
