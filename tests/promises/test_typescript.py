"""The TypeScript SDK's client, in both eras, over both transports: what one identity sees and may call."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.parts.fixtures import typescript
from tests.parts.peers import TypeScript
from tests.promises.running import SHIM, environment, serving, token

__all__ = ["typescript"]

Transport = Literal["stdio", "http"]
PATIENCE = 120.0


async def session(
    typescript: TypeScript, config: Path, who: str, era: str, transport: Transport, steps: list[list[Any]], **more: Any
) -> list[dict[str, Any]]:
    """What the client got, a step each; first what it learned of the server."""
    async with serving(config) as shim:
        plan: dict[str, Any] = {"era": era, "steps": steps, **more}
        if transport == "http":
            plan |= {"url": shim.url, "headers": {"authorization": f"Bearer {token(who)}"}}
        else:
            command = [SHIM, "stdio", "--identity", who, "--config", str(config)]
            plan |= {"command": command, "env": environment(config.parent)}
        process = await asyncio.create_subprocess_exec(
            *typescript.session(plan), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, err.decode(errors="replace")
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize(
    ("era", "transport"),
    [
        ("legacy", "stdio"),
        ("modern", "http"),
        pytest.param("legacy", "http", marks=pytest.mark.soak),
        pytest.param("modern", "stdio", marks=pytest.mark.soak),
    ],
)
async def test_the_typescript_client(
    era: str, transport: Transport, typescript: TypeScript, git_config: Path, repository: Path
) -> None:
    where = {"repo_path": str(repository)}
    about, tools, status, hidden = await session(
        typescript,
        git_config,
        "reader",
        era,
        transport,
        [
            ["listTools", {}],
            ["callTool", {"name": "git__git_status", "arguments": where}],
            ["callTool", {"name": "git__git_commit", "arguments": {**where, "message": "add it"}}],
        ],
    )
    assert about["era"] == era
    assert [tool["name"] for tool in tools["result"]["tools"]] == [
        "git__git_diff",
        "git__git_diff_staged",
        "git__git_diff_unstaged",
        "git__git_log",
        "git__git_status",
    ]
    assert "NEW" in status["result"]["content"][0]["text"]
    assert hidden["error"]["code"] == -32602
    assert "Unknown tool: git__git_commit" in hidden["error"]["message"]
