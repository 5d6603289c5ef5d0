"""`call`: the whole path, and the exit code that says how it ended."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.promises.running import SHIM, environment, run

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
