"""An example as a reader has it: a copy of its folder, a home, and a shell that stands there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import TextContent

from shim.cli import sample
from shim.model import JsonObject
from tests.docs.console import Command
from tests.docs.world import World, environment, follow
from tests.parts.install import ROOT

EXAMPLES = ROOT / "examples"


def copied(name: str, tmp_path: Path, *more: Path) -> World:
    """The example of this name; `more` are folders in which commands are found besides."""
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("var", "tokens.yaml"))
    return World(folder, environment(tmp_path / "home", *more))


def home(world: World) -> Path:
    return Path(world.variables["HOME"])


def repository(path: Path) -> Path:
    """A git repository with a few commits, a file changed and not yet committed."""
    sample.make(path)
    return path


def followed(world: World, then: Mapping[str, Callable[[], None]] | None = None) -> None:
    """Run the page of the example whose folder the shell stands in; `then`: what to do after a command begins so."""
    reached = set()

    def between(command: Command, _: str) -> None:
        for start, act in (then or {}).items():
            if command.text.startswith(start):
                reached.add(start)
                act()

    page = world.folder / "README.md"
    follow(f"examples/{world.folder.name}/README.md", page.read_text(), world, between=between)
    assert reached == set(then or {})


def over_stdio(command: str, arguments: list[str], variables: Mapping[str, str]) -> AbstractAsyncContextManager[Client]:
    """The SDK's client, as an assistant that starts this server."""
    return Client(stdio_client(StdioServerParameters(command=command, args=arguments, env=dict(variables))))


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


async def text(client: Client, tool: str, arguments: JsonObject) -> str:
    """The text of a result that is not an error."""
    result = await client.call_tool(tool, arguments)
    first = result.content[0]
    assert isinstance(first, TextContent)
    assert not result.is_error, first.text
    return first.text


async def refusal(client: Client, tool: str, arguments: JsonObject) -> str:
    """The reason code with which a visible tool is refused."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    reason = (result.meta or {})["io.github.mcp-shim/decision"]["reason"]
    assert isinstance(reason, str)
    return reason


def rows(world: World, *filters: str) -> list[JsonObject]:
    """The invocations on the record."""
    code, told = world.run(" ".join(["mcp-shim log list --json", *filters]))
    assert code == 0, told
    found: list[JsonObject] = json.loads(told)
    return found


def faults(world: World) -> list[str]:
    """What `check` says that is not of keys which hold until somebody changes them."""
    code, told = world.run("mcp-shim check --json")
    assert code == 0, told
    return [one["message"] for one in json.loads(told)["problems"] if " is long-lived: " not in one["message"]]


def log(world: World) -> list[tuple[str, str, str]]:
    """Identity, tool and status of each invocation on the record."""
    return [(row["identity"], row["tool"], row["status"]) for row in rows(world)]
