"""An agent in CI: what the page says, with the client configuration that lies beside it."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
from pathlib import Path
from string import Template

from tests.docs.world import World
from tests.examples.given import copied, faults, followed, home, log, names, over_stdio, repository, text


def _agent(world: World) -> tuple[str, list[str], dict[str, str]]:
    # As a client reads its file: `${NAME}` stands for the variable of the job.
    read = json.loads(Template((world.folder / "mcp.json").read_text()).substitute(world.variables))
    [server] = read["mcpServers"].values()
    command = shutil.which(server["command"], path=world.variables["PATH"])
    assert command is not None
    common = {name: world.variables[name] for name in ("PATH", "HOME", "LANG")}
    return command, server["args"], {**common, **server["env"]}


def test_an_agent_only_looks_and_its_record_can_be_checked(tmp_path: Path) -> None:
    # Given a checkout, and a token in the job's environment
    world = copied("ci", tmp_path)
    checkout = repository(home(world) / "checkout")
    seen: set[str] = set()

    async def work() -> None:
        async with over_stdio(*_agent(world)) as client:
            seen.update(await names(client))
            await text(client, "git__git_log", {"repo_path": str(checkout), "max_count": 1})

    # When the page is followed, and the agent works where the page starts it
    followed(world, {"mcp-shim call": lambda: asyncio.run(work())})

    assert faults(world) == []

    # Then it saw only what looks, and the artifacts say so
    assert seen == {
        f"git__{name}"
        for name in ("git_status", "git_log", "git_show", "git_diff", "git_diff_staged", "git_diff_unstaged")
    }
    assert log(world) == [("ci-agent", "git/git_status", "ok"), ("ci-agent", "git/git_log", "ok")]
    row = list(csv.DictReader((world.folder / "calls.csv").open()))[-1]
    assert (row["identity"], row["tool"], row["status"]) == ("ci-agent", "git/git_log", "ok")
    assert json.loads(row["arguments"]) == {"repo_path": str(checkout), "max_count": 1}


def test_the_token_is_in_no_file(tmp_path: Path) -> None:
    world = copied("ci", tmp_path)
    repository(home(world) / "checkout")
    followed(world)
    token = world.variables["MCP_SHIM_TOKEN"]
    assert token.startswith("mcpshim_")
    files = [path for path in world.folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if token.encode() in path.read_bytes()]
