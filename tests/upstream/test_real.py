"""Servers that nobody here wrote: found out, read and called as they are."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from shim.upstream.config import UpstreamBlock
from tests.parts import peers
from tests.parts.fixtures import legacy_python, node
from tests.upstream.support import BIN, Heard, running, text

__all__ = ["legacy_python", "node"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path / "repo"], check=True)
    return tmp_path / "repo"


async def test_the_modern_servers_for_git_and_time(repository: Path) -> None:
    blocks = {
        "git": UpstreamBlock(command=(str(BIN / "mcp-server-git"), "--repository", str(repository))),
        "time": UpstreamBlock(command=(str(BIN / "mcp-server-time"),), isolation="shared"),
    }
    async with running(blocks) as run:
        await run.until(lambda: {offer.upstream for offer in run.offers} == set(blocks), within=30)
        assert (run.offer("git").era, run.offer("time").era) == ("modern", "modern")
        assert "git_status" in [tool["name"] for tool in run.offer("git").tools]
        status = await run.call("git", "git_status", {"repo_path": str(repository)})
        assert "No commits yet" in text(status)
        now = await run.call("time", "get_current_time", {"timezone": "UTC"})
        assert json.loads(text(now))["timezone"] == "UTC"
        wrong = await run.call("time", "get_current_time", {"timezone": "Nowhere"})
        assert wrong.error is not None or (wrong.result or {})["isError"] is True


async def test_a_server_on_the_first_sdk_is_legacy(legacy_python: Path, tmp_path: Path) -> None:
    command = tuple(peers.sqlite_server(tmp_path / "data.db"))
    async with running({"sqlite": UpstreamBlock(command=command)}) as run:
        await run.until(lambda: bool(run.offers), within=30)
        offer = run.offer("sqlite")
        assert (offer.era, offer.protocol) == ("legacy", "2025-11-25")
        reply = await run.call("sqlite", "read_query", {"query": "select 1 as one"})
        assert "one" in text(reply)


async def test_a_legacy_server_in_another_language(node: peers.Node) -> None:
    heard = Heard()
    async with running({"everything": UpstreamBlock(command=tuple(node.everything()))}) as run:
        await run.until(lambda: bool(run.offers), within=30)
        assert run.offer("everything").era == "legacy"
        assert text(await run.call("everything", "echo", {"message": "hello"})) == "Echo: hello"
        arguments = {"duration": 0.3, "steps": 3}
        name = next(t["name"] for t in run.offer("everything").tools if "long" in t["name"].lower())
        await run.call("everything", name, arguments, meta={"progressToken": "p"}, heard=heard)
    assert [params["progress"] for params in heard.progressed] == [1, 2, 3]
