"""From nothing to a connected assistant: two clients' configurations of four real servers, taken over and governed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import TextContent

from tests.parts import warm
from tests.parts.fixtures import node
from tests.parts.peers import Node
from tests.promises.running import BIN, SHIM

__all__ = ["node"]

KEYS = {
    "token": "ghp_" + "k3yInPlainText" * 3,
    "password": "correct-horse-battery-staple",
    "argument": "sk-live-4f1c9d0e5b7a2c8d6e3f1a90",
}
"""What stands in the clients' files: in a variable with a telling shape, in one with a telling name, in an argument."""


@dataclass(frozen=True)
class Desk:
    """A developer's project and home, before anything was installed."""

    project: Path
    home: Path

    @property
    def config(self) -> Path:
        return self.project / "config" / "shim.yaml"

    @property
    def claude(self) -> Path:
        return self.home / ".claude.json"

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
        }

    async def shim(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        ended, out, err = await warm.run((SHIM, *arguments), self.environment(), folder=self.project)
        assert ended == code, out + err
        return out, err

    def allow(self, *tools: str) -> None:
        """What a person does in an editor: take `# ` away before these tools."""
        text = self.config.read_text()
        for tool in tools:
            text, count = re.subn(rf"(?m)^( +)# (- [\"']?{re.escape(tool)}\b)", r"\1\2", text)
            assert count == 1, text
        self.config.write_text(text)

    def files(self) -> Iterator[Path]:
        for folder in (self.project, self.home):
            yield from (path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def desk(tmp_path: Path, repository: Path, node: Node) -> Desk:
    """A repository with the files of Claude Code and VS Code in it, and what Claude Code keeps at home."""
    project = repository.rename(tmp_path / "project")
    home = tmp_path / "home"
    (project / ".vscode").mkdir()
    (home / ".config" / "Code" / "User").mkdir(parents=True)
    git = {"command": "mcp-server-git", "args": ["--repository", "."], "env": {"GITHUB_TOKEN": KEYS["token"]}}
    files = node.filesystem(Path())
    shared = {"mcpServers": {"git": git, "filesystem": {"command": files[0], "args": files[1:], "env": {}}}}
    (project / ".mcp.json").write_text(json.dumps(shared, indent=2) + "\n")
    memory = node.memory()
    (project / ".vscode" / "mcp.json").write_text(f"""{{
  // What the team uses.
  "servers": {{
    "git": {{"type": "stdio", "command": "mcp-server-git", "args": ["--repository", "."],
            "env": {{"GITHUB_TOKEN": "{KEYS["token"]}"}}}},
    "time": {{
      "type": "stdio",
      "command": "mcp-server-time",
      "args": ["--local-timezone", "Etc/UTC"], // no surprises
    }},
    "memory": {{
      "type": "stdio",
      "command": {json.dumps(memory[0])},
      "args": [{json.dumps(memory[1])}, "--api-key", "{KEYS["argument"]}"],
      "env": {{"MEMORY_FILE_PATH": "${{workspaceFolder}}/memory.json", "MEMORY_PASSWORD": "{KEYS["password"]}"}},
    }},
  }},
}}
""")
    (home / ".claude.json").write_text('{\n  "numStartups": 41,\n  "theme": "dark"\n}\n')
    return Desk(project, home)


def started(file: Path) -> StdioServerParameters:
    """The server as the client that owns this file would start it, read with nothing of the shim's own."""
    entry = json.loads(file.read_text())["mcpServers"]["mcp-shim"]
    return StdioServerParameters(command=entry["command"], args=entry["args"], env=entry.get("env"))


async def test_init_uncomment_connect(desk: Desk, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in desk.files()}

    # One command, no questions; then what a person does: look, and allow.
    out, err = await desk.shim("init")
    assert "memory" in out + err
    for key in KEYS.values():
        assert key not in out + err
    assert {path: path.read_bytes() for path in before} == before
    desk.allow("git/git_status", "time/get_current_time")
    out, err = await desk.shim("check")
    assert "ok: " in out
    assert out.count(" up ") == 4, out
    await desk.shim("connect", "claude-code", "--identity", "me", "--write", "--replace")
    await desk.shim("connect", "vscode", "--identity", "me", "--write", "--replace")

    # The client, started from what now stands in its own configuration and in no folder of ours.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    parameters = started(desk.claude).model_copy(update={"cwd": elsewhere})
    async with Client(stdio_client(parameters)) as client:
        tools = (await client.list_tools()).tools
        assert sorted(tool.name for tool in tools) == ["git__git_status", "time__get_current_time"]
        status = await client.call_tool("git__git_status", {"repo_path": str(desk.project)})
        assert isinstance(status.content[0], TextContent)
        assert "NEW" in status.content[0].text
        now = await client.call_tool("time__get_current_time", {"timezone": "Etc/UTC"})
        assert isinstance(now.content[0], TextContent)
        assert "Etc/UTC" in now.content[0].text

    # The keys lie in one folder that only their owner can read, and in what `--undo` needs.
    secrets = desk.config.parent / "secrets"
    for path in desk.files():
        if path.parent != secrets and ".bak-" not in path.name:
            assert not any(key.encode() in path.read_bytes() for key in KEYS.values()), path
        elif any(key.encode() in path.read_bytes() for key in KEYS.values()):
            assert path.stat().st_mode & 0o077 == 0, path
    assert secrets.stat().st_mode & 0o077 == 0

    # Everything goes back to how it was.
    await desk.shim("connect", "claude-code", "--identity", "me", "--undo")
    await desk.shim("connect", "vscode", "--identity", "me", "--undo")
    assert {path: path.read_bytes() for path in before} == before
    assert not (desk.home / ".config" / "Code" / "User" / "mcp.json").exists()


async def test_read_only_needs_no_editor(desk: Desk) -> None:
    await desk.shim("init", "--read-only")
    out, _ = await desk.shim("tools", "--json")
    allowed = {row["tool"] for row in json.loads(out)}
    assert {"git/git_status", "filesystem/read_text_file", "memory/read_graph"} <= allowed
    assert not allowed & {"git/git_commit", "filesystem/write_file", "memory/delete_entities"}


async def test_nothing_of_the_search_path_is_needed(desk: Desk) -> None:
    """A desktop program starts servers with next to no environment."""
    await desk.shim("init", "--from", "claude-code", "--read-only")
    await desk.shim("connect", "claude-code", "--identity", "me", "--write")
    entry = started(desk.claude)
    assert shutil.which(entry.command) == entry.command
    assert Path(entry.command).parent == Path(sys.executable).parent
