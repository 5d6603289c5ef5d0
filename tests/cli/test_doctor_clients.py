"""`doctor` on the clients' files: who is connected to this configuration, and what bypasses the shim."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shim.cli import clientfiles
from shim.cli.checkup import clients
from shim.cli.checkup.checks import Check
from shim.config.loader import load
from tests.promises.running import BIN, SHIM, environment


def client_file(folder: Path, servers: dict[str, Any]) -> None:
    (folder / ".mcp.json").write_text(json.dumps({"mcpServers": servers}))


def of_claude_code(config: Path) -> Check:
    """What is said of Claude Code, opened in the configuration's folder."""
    machine = clientfiles.machine(environment(config.parent), config.parent, "linux")
    [found] = [check for check in clients.checks(load(config, {}), machine) if check.name == "claude-code"]
    return found


def entry(config: Path, identity: str = "reader", program: str = SHIM) -> dict[str, Any]:
    return {"command": program, "args": ["stdio", "--identity", identity, "--config", str(config)]}


def test_a_client_with_nothing_but_the_shim_is_governed(config: Path) -> None:
    client_file(config.parent, {"mcp-shim": entry(config)})
    found = of_claude_code(config)
    assert found.level == "ok"
    assert found.message.startswith("governed: connected as reader")


def test_servers_that_bypass_the_shim_are_named_and_those_that_it_fronts_told_apart(config: Path) -> None:
    time = {"command": f"{BIN}/mcp-server-time", "args": ["--local-timezone", "Etc/UTC"]}
    other = {"command": "npx", "args": ["-y", "somebody's"]}
    client_file(config.parent, {"mcp-shim": entry(config), "clock": time, "other": other})
    found = of_claude_code(config)
    assert found.level == "warning"
    assert "2 servers bypassing the shim: clock (which is time, in " in found.message
    assert (found.remedy or "").endswith("--identity reader --config " + str(config) + " --write --replace")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"command": "/nowhere/mcp-shim"}, "which is not there"),
        ({"args": ["stdio", "--identity", "reader", "--config", "other.yaml"]}, "another configuration"),
        ({"args": ["stdio", "--identity", "reader"]}, "another configuration"),
        ({"args": ["stdio", "--identity", "stranger", "--config", "shim.yaml"]}, "stranger, which is not configured"),
        ({"args": ["stdio", "--identity", "remote", "--config", "shim.yaml"]}, "without a token"),
    ],
)
def test_an_entry_that_cannot_work_says_why(config: Path, change: dict[str, Any], said: str) -> None:
    client_file(config.parent, {"mcp-shim": entry(config) | change})
    found = of_claude_code(config)
    assert (found.level, said in found.message) == ("error", True), found.message
    assert "mcp-shim connect claude-code" in (found.remedy or "")


def test_an_entry_that_leads_elsewhere_over_http_says_where(config: Path) -> None:
    client_file(config.parent, {"mcp-shim": {"type": "http", "url": "http://127.0.0.1:8765/mcp"}})
    assert of_claude_code(config).level == "ok"
    client_file(config.parent, {"mcp-shim": {"type": "http", "url": "http://127.0.0.1:1/mcp"}})
    assert of_claude_code(config).level == "error"


def test_a_file_that_lies_elsewhere_is_looked_at_when_it_is_named(config: Path) -> None:
    client_file(config.parent, {"mcp-shim": entry(config)})
    elsewhere = config.parent / "else where" / ".mcp.json"
    elsewhere.parent.mkdir()
    time = {"command": f"{BIN}/mcp-server-time", "args": ["--local-timezone", "Etc/UTC"]}
    client_file(elsewhere.parent, {"clock": time})
    machine = clientfiles.machine(environment(config.parent), config.parent, "linux", [str(elsewhere)])
    [found] = [check for check in clients.checks(load(config, {}), machine) if check.name == "claude-code"]
    assert (found.level, f"clock (which is time, in {elsewhere})" in found.message) == ("warning", True)
    assert (found.remedy or "").endswith(f"--write --replace --from '{elsewhere}'")


def test_what_a_killed_run_left_is_said_and_the_remedy_removes_it(config: Path) -> None:
    left = config.parent / ".cursor" / ".mcp.json.mcp-shim-abcdefgh"
    left.parent.mkdir()
    left.touch(0o600)
    machine = clientfiles.machine(environment(config.parent), config.parent, "linux")
    [found] = [check for check in clients.checks(None, machine) if check.name == "left over"]
    assert (found.level, str(left) in found.message) == ("warning", True)
    subprocess.run(found.remedy or "", shell=True, check=True)
    assert not left.exists()


def test_a_client_that_is_not_connected_or_not_readable_is_said(config: Path) -> None:
    client_file(config.parent, {"mine": {"command": "npx", "args": ["mine"]}})
    assert "not connected; it has 1 server of" in of_claude_code(config).message
    (config.parent / ".mcp.json").write_text('{"mcpServers": {')
    found = of_claude_code(config)
    assert (found.level, ".mcp.json" in found.message) == ("warning", True)
