"""`check`: exit code 1 for an upstream that is down and for a condition that its tools cannot meet."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import edit
from tests.promises.running import run


async def test_all_is_well(config: Path) -> None:
    code, out, err = await run(config, "check", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["ok"], found["problems"]) == (True, [])
    states = [(up["name"], up["state"], up["era"], up["error"], up["tools"] > 0) for up in found["upstreams"]]
    assert states == [("git", "up", "modern", None, True), ("time", "up", "modern", None, True)]


async def test_an_upstream_that_is_down_is_a_problem(config: Path) -> None:
    edit(config, "mcp-server-time", "mcp-server-nowhere")
    code, out, _ = await run(config, "check", "--json")
    assert code == 1
    found = json.loads(out)
    assert found["ok"] is False
    time = found["upstreams"][1]
    assert (time["name"], time["state"], time["tools"]) == ("time", "down", None)
    assert time["error"]


async def test_offline_reaches_nothing(config: Path) -> None:
    edit(config, "mcp-server-time", "mcp-server-nowhere")
    code, out, _ = await run(config, "check", "--offline", "--json")
    assert code == 0
    assert [up["state"] for up in json.loads(out)["upstreams"]] == [None, None]


async def test_an_argument_that_no_tool_declares_is_found_at_its_line(config: Path) -> None:
    line = edit(config, "args.message", "args.mesage")
    code, out, _ = await run(config, "check", "--json")
    assert code == 1
    [problem] = json.loads(out)["problems"]
    assert (problem["file"], problem["line"], problem["level"]) == (str(config), line, "error")
    assert "mesage" in problem["message"]
