"""One developer's laptop: what the page says, and what an assistant then has, started as its own file says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mcp import MCPError

from tests.examples.given import copied, faults, followed, home, log, names, over_stdio, refusal, repository, text
from tests.parts.fixtures import node
from tests.parts.peers import Node

__all__ = ["node"]


async def test_an_assistant_reads_commits_a_little_and_writes_markdown(tmp_path: Path, node: Node) -> None:
    # Given the laptop: a project, notes, and the filesystem server as npm installs it
    world = copied("laptop", tmp_path, node.modules / ".bin", node.binary.parent)
    project, notes = repository(home(world) / "project"), home(world) / "notes"
    notes.mkdir()
    (notes / "today.md").write_text("buy an umbrella\n")

    # When the page is followed and an assistant works
    followed(world)
    assert faults(world) == []
    entry = json.loads((home(world) / ".claude.json").read_text())["mcpServers"]["mcp-shim"]
    async with over_stdio(entry["command"], entry["args"], {**world.variables, **entry["env"]}) as client:
        seen = await names(client)
        assert "umbrella" in await text(client, "notes__read_text_file", {"path": str(notes / "today.md")})
        await text(client, "git__git_add", {"repo_path": str(project), "files": ["packing.md"]})
        await text(client, "git__git_commit", {"repo_path": str(project), "message": "An umbrella"})
        await text(client, "notes__write_file", {"path": str(notes / "new.md"), "content": "packed\n"})
        script = {"path": str(notes / "run.sh"), "content": "rm -rf /\n"}
        assert await refusal(client, "notes__write_file", script) == "condition-false"
        with pytest.raises(MCPError, match="Unknown tool: git__git_reset"):
            await client.call_tool("git__git_reset", {"repo_path": str(project)})

    # Then it had what the page says, and all of it is on the record
    assert {"time__get_current_time", "git__git_diff_staged", "notes__search_files"} <= seen
    assert not seen & {"git__git_reset", "git__git_checkout", "notes__move_file", "notes__edit_file"}
    assert (notes / "new.md").read_text() == "packed\n"
    assert not (notes / "run.sh").exists()
    assert log(world) == [
        ("me", "notes/read_text_file", "ok"),
        ("me", "git/git_add", "ok"),
        ("me", "git/git_commit", "ok"),
        ("me", "notes/write_file", "ok"),
        ("me", "notes/write_file", "denied"),
        ("me", "git/git_reset", "denied"),
    ]
