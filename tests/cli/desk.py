"""A developer's project and home, for verbs that look at clients' files; and servers that say what they are told."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from shim.cli import sample
from shim.model import JsonObject
from tests.parts import warm
from tests.promises.running import SHIM, environment

SAYS = """
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    method, answer = message["method"], {"jsonrpc": "2.0", "id": message.get("id")}
    if method == "initialize":
        server = {"name": "x", "version": "1"}
        answer["result"] = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": server}
    elif method == "tools/list":
        text = os.environ["TOOLS"].replace("THE KEY", os.environ.get("API_KEY", "none"))
        answer["result"] = {"tools": json.loads(text.replace("MUCH", "y" * 2**20))}
    elif method == "server/discover":
        answer["error"] = {"code": -32601, "message": "Method not found"}
    elif "id" in message:
        open("called", "a").write(method)
    if "id" in message:
        print(json.dumps(answer), flush=True)
"""
"""A server whose tools are what TOOLS says, and which leaves a trace when more is asked of it than to list them."""


def says(tools: list[JsonObject], **env: str) -> JsonObject:
    return {"command": sys.executable, "args": ["-c", SAYS], "env": {"TOOLS": json.dumps(tools), **env}}


@dataclass(frozen=True)
class Desk:
    """A project that has a `.mcp.json`, and a home with nothing in it."""

    folder: Path
    home: Path

    @property
    def config(self) -> Path:
        return self.folder / "config" / "shim.yaml"

    def have(self, **servers: JsonObject) -> None:
        (self.folder / ".mcp.json").write_text(json.dumps({"mcpServers": servers}))

    async def start(self, *arguments: str, **more: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            SHIM,
            *arguments,
            cwd=self.folder,
            env={**environment(self.home), **more},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def shim(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        return await warm.run((SHIM, *arguments), {**environment(self.home), **more}, folder=self.folder)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "home").mkdir()
    sample.make(tmp_path / "project")
    return Desk(tmp_path / "project", tmp_path / "home")
