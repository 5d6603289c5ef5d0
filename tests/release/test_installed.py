"""The wheel, installed into an environment that held nothing, is a working `mcp-shim` outside the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from shim import __version__
from shim.config import samples
from tests.parts.install import ROOT
from tests.release.building import Installed

CONFIG = """\
# yaml-language-server: $schema=shim.schema.json
version: 1
upstreams:
  time: {command: [mcp-server-time, --local-timezone, Etc/UTC]}
identities:
  me: {local: true}
grants:
  - name: tell-the-time
    to: [me]
    allow: [time/get_current_time]
"""


@pytest.fixture
def config(fresh: Installed) -> Path:
    path = fresh.folder / "config" / "shim.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(CONFIG)
    return path


def test_nothing_of_this_checkout_is_in_it(fresh: Installed) -> None:
    where = fresh.run("python", "-c", "import shim; print(shim.__file__)").stdout
    assert where.startswith(str(fresh.bin.parent))


def test_it_says_which_it_is_by_either_name(fresh: Installed) -> None:
    assert fresh.run("mcp-shim", "--version").stdout == f"mcp-shim {__version__}\n"
    assert fresh.run("python", "-m", "shim", "--version").stdout == f"mcp-shim {__version__}\n"


def test_what_it_needs_is_all_declared(fresh: Installed) -> None:
    # Given the environment that its own metadata made, when every module is imported, then none misses another.
    script = (
        "import importlib, pkgutil, shim\n"
        "for module in pkgutil.walk_packages(shim.__path__, 'shim.'):\n"
        "    if module.name != 'shim.__main__': print(importlib.import_module(module.name).__name__)\n"
    )
    imported = set(fresh.run("python", "-c", script).stdout.split())
    modules = (path.relative_to(ROOT).with_suffix("").parts for path in (ROOT / "shim").rglob("*.py"))
    assert imported == {".".join(parts).removesuffix(".__init__") for parts in modules} - {"shim", "shim.__main__"}
    assert fresh.run("python", "-m", "pip", "check").stdout == "No broken requirements found.\n"


def test_the_schema_is_found_and_is_the_published_one(fresh: Installed) -> None:
    packaged = "from importlib import resources; print(resources.files('shim.config') / 'shim.schema.json')"
    published = (ROOT / "config" / "shim.schema.json").read_text()
    assert Path(fresh.run("python", "-c", packaged).stdout.strip()).read_text() == published
    assert fresh.run("python", "-m", "shim.config.schema").stdout == published


def test_check_says_what_is_missing_and_then_that_it_is_fine(fresh: Installed, config: Path) -> None:
    gone = fresh.run("mcp-shim", "check", "--config", "nowhere.yaml", check=False)
    assert (gone.returncode, gone.stdout) == (2, "")
    assert "nowhere.yaml" in gone.stderr
    assert fresh.run("mcp-shim", "check").stdout.splitlines()[-1] == "ok: 1 grant, 1 upstream"


def test_a_configuration_comes_from_nothing_and_a_client_is_connected(fresh: Installed) -> None:
    config = "begun/config/shim.yaml"
    (fresh.folder / "begun").mkdir()
    fresh.run("mcp-shim", "init", "--command", "mcp-server-time --local-timezone Etc/UTC", "--config", config)
    made = fresh.folder / "begun" / "config"
    assert (made / "shim.schema.json").read_bytes() == (ROOT / "config" / "shim.schema.json").read_bytes()
    assert fresh.run("mcp-shim", "check", "--config", config).stdout.splitlines()[-1].startswith("ok: ")
    snippet = fresh.run("mcp-shim", "connect", "claude-code", "--identity", "me", "--config", config).stdout
    assert json.loads(snippet)["mcpServers"]["mcp-shim"]["command"] == str(fresh.bin / "mcp-shim")
    # It warns that nothing is allowed yet, and finds no fault.
    assert f"{__version__} in " + str(fresh.bin.parent) in fresh.run("mcp-shim", "doctor", "--config", config).stdout


@pytest.mark.parametrize("name", samples.NAMES)
def test_each_sample_is_a_configuration_to_begin_with(fresh: Installed, name: str) -> None:
    config = f"{name}/shim.yaml"
    fresh.run("mcp-shim", "init", "--sample", name, "--config", config)
    made = fresh.folder / name
    # Then it is the example, beside the schema that it names, and it holds: no variable is set here, no key is there.
    example = (ROOT / "examples" / name / "shim.yaml").read_text()
    assert (made / "shim.yaml").read_text().splitlines()[1:] == example.splitlines()[1:]
    first = (made / "shim.yaml").read_text().splitlines()[0]
    assert (made / first.partition("$schema=")[2]).is_file()
    checked = fresh.run("mcp-shim", "check", "--offline", "--json", "--config", config).stdout
    assert json.loads(checked)["ok"]
    assert all("is long-lived" in problem["message"] for problem in json.loads(checked)["problems"])


# Each of its steps is run from the checkout in every run of the tests.
@pytest.mark.soak
def test_the_tour_runs(fresh: Installed) -> None:
    assert "and it is found" in fresh.run("mcp-shim", "demo", "--fast").stdout


async def test_an_assistant_that_starts_it_over_stdio_has_the_tool(fresh: Installed, config: Path) -> None:
    # Given an assistant that knows the command's full path and has no PATH that leads to the environment
    command = StdioServerParameters(
        command=str(fresh.bin / "mcp-shim"),
        args=["stdio", "--identity", "me", "--config", str(config)],
        env={"PATH": "/usr/bin:/bin", "HOME": str(fresh.home)},
        cwd=os.sep,
    )
    async with stdio_client(command) as streams, ClientSession(*streams) as session:
        await session.initialize()
        tools = await session.list_tools()
        result = await session.call_tool("time__get_current_time", {"timezone": "Etc/UTC"})
    assert [tool.name for tool in tools.tools] == ["time__get_current_time"]
    assert not result.is_error
    [row] = json.loads(fresh.run("mcp-shim", "log", "list", "--json").stdout)
    assert (row["identity"], row["tool"], row["status"]) == ("me", "time/get_current_time", "ok")
