"""Clients that nobody here wrote: the SDK's own and the MCP Inspector, both eras, both transports, two identities."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from shim.model import JsonObject
from tests.parts.fixtures import node
from tests.parts.peers import Node
from tests.promises.running import SHIM, environment, identity, serving, token, write_config

__all__ = ["node"]

Mode = Literal["legacy", "auto"]
Transport = Literal["stdio", "http"]

LOOK = ["git__git_diff", "git__git_diff_staged", "git__git_diff_unstaged", "git__git_log", "git__git_status"]
COMMIT = ["git__git_add", "git__git_commit", *LOOK]
SEEN = {"reader": LOOK, "writer": COMMIT}


@asynccontextmanager
async def sdk(config: Path, who: str, mode: Mode, transport: Transport) -> AsyncIterator[Client]:
    if transport == "stdio":
        arguments = ["stdio", "--identity", who, "--config", str(config)]
        parameters = StdioServerParameters(command=SHIM, args=arguments, env=environment(config.parent))
        async with Client(stdio_client(parameters), mode=mode) as client:
            yield client
    else:
        headers = {"authorization": f"Bearer {token(who)}"}
        async with (
            serving(config) as shim,
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http,
            Client(streamable_http_client(shim.url, http_client=http), mode=mode) as client,
        ):
            yield client


@pytest.mark.parametrize(
    ("who", "mode", "transport"),
    [
        ("reader", "legacy", "stdio"),
        ("reader", "auto", "http"),
        ("writer", "legacy", "http"),
        ("writer", "auto", "stdio"),
    ],
)
async def test_the_sdks_client(who: str, mode: Mode, transport: Transport, git_config: Path, repository: Path) -> None:
    where = {"repo_path": str(repository)}
    async with sdk(git_config, who, mode, transport) as client:
        assert (client.protocol_version == "2026-07-28") == (mode == "auto")
        assert [tool.name for tool in (await client.list_tools()).tools] == SEEN[who]
        status = await client.call_tool("git__git_status", where)
        assert isinstance(status.content[0], TextContent)
        assert "NEW" in status.content[0].text
        if who == "writer":
            await client.call_tool("git__git_add", {**where, "files": ["NEW"]})
            done = await client.call_tool("git__git_commit", {**where, "message": "add it"})
            assert not done.is_error
            refused = await client.call_tool("git__git_commit", {**where, "message": "m" * 60})
            assert refused.is_error
        else:
            with pytest.raises(MCPError, match="Unknown tool: git__git_commit"):
                await client.call_tool("git__git_commit", {**where, "message": "add it"})


async def inspect(
    node: Node, config: Path, who: str, era: str, target: list[str], *more: str
) -> tuple[int, JsonObject]:
    process = await asyncio.create_subprocess_exec(
        *node.inspector(),
        "--protocol-era",
        era,
        *more,
        *target,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(config.parent),
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    try:
        found: JsonObject = json.loads(out)
    except ValueError:
        found = {"text": (out + err).decode(errors="replace")}
    return process.returncode, found


@asynccontextmanager
async def reached(config: Path, who: str, transport: Transport) -> AsyncIterator[list[str]]:
    """How the Inspector is told to reach the shim as this identity."""
    if transport == "stdio":
        yield ["--", SHIM, "stdio", "--identity", who, "--config", str(config)]
    else:
        async with serving(config) as shim:
            header = f"Authorization: Bearer {token(who)}"
            yield ["--transport", "http", "--server-url", shim.url, "--header", header]


@pytest.mark.parametrize(
    ("era", "transport", "who"),
    [
        ("legacy", "http", "reader"),
        pytest.param("legacy", "stdio", "writer", marks=pytest.mark.soak),
        ("modern", "http", "writer"),
        pytest.param("modern", "stdio", "reader", marks=pytest.mark.soak),
    ],
)
async def test_the_inspector(
    era: str, transport: Transport, who: str, node: Node, git_config: Path, repository: Path
) -> None:
    async with reached(git_config, who, transport) as target:
        code, tools = await inspect(node, git_config, who, era, target, "--method", "tools/list")
        assert code == 0, tools
        assert [tool["name"] for tool in tools["tools"]] == SEEN[who]
        call = ["--method", "tools/call", "--tool-name", "git__git_status", "--tool-arg", f"repo_path={repository}"]
        code, status = await inspect(node, git_config, who, era, target, *call)
        assert code == 0, status
        assert "NEW" in status["content"][0]["text"]


@pytest.mark.parametrize(("era", "transport"), [("legacy", "stdio"), ("modern", "http")])
async def test_the_inspector_on_prompts_and_resources(
    era: str, transport: Transport, node: Node, tmp_path: Path
) -> None:
    config = write_config(
        tmp_path,
        f"version: 1\nupstreams:\n  all: {{command: {json.dumps(node.everything())}}}\nidentities:\n{identity('me')}"
        'grants:\n  - {name: some, to: [me], allow: ["prompt:all/simple-*", "resource:all/demo://resource/**"]}\n',
    )
    async with reached(config, "me", transport) as target:

        async def ask(*words: str) -> JsonObject:
            code, found = await inspect(node, config, "me", era, target, "--method", *words)
            assert code == 0, found
            return found

        assert [one["name"] for one in (await ask("prompts/list"))["prompts"]] == ["all__simple-prompt"]
        prompt = await ask("prompts/get", "--prompt-name", "all__simple-prompt")
        assert prompt["messages"]
        resources = (await ask("resources/list"))["resources"]
        read = await ask("resources/read", "--uri", resources[0]["uri"])
        assert read["contents"][0]["uri"] == resources[0]["uri"]
