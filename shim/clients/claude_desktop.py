"""Claude Desktop: `claude_desktop_config.json`, only stdio servers, no project files and no variables.

Sources: modelcontextprotocol.io, "Connect to local MCP servers"; the place on Linux (builds that others make) as VS
Code's own discovery looks for it (`nativeMcpDiscoveryAdapters.ts`). Remote servers are added in its settings, not in
this file. A graphical application starts programs with the PATH of the desktop, which rarely leads to where a person's
tools are; so an entry brings a PATH.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from shim.clients.client import Entry, Machine
from shim.clients.entries import Shape, as_written, servers_at
from shim.clients.server import ClientName, Origin, Server, Unusable
from shim.model import JsonObject


class ClaudeDesktop:
    """One of `registry.CLIENTS`."""

    name: ClientName = "claude-desktop"
    title = "Claude Desktop"
    syntax: Literal["json", "toml"] = "json"
    section: tuple[str, ...] = ("mcpServers",)

    def user_file(self, machine: Machine) -> Path:
        return machine.applications / "Claude" / "claude_desktop_config.json"

    def project_file(self, _machine: Machine) -> None:
        return None

    def files(self, machine: Machine) -> Sequence[Origin]:
        return (Origin(self.name, self.user_file(machine), "user"),)

    def read(self, document: JsonObject, origin: Origin, _machine: Machine) -> Iterator[Server | Unusable]:
        return servers_at(document, self.section, origin, Shape(as_written))

    def stdio(self, command: Sequence[str], machine: Machine) -> Entry:
        value: JsonObject = {"command": command[0], "args": list(command[1:])}
        if path := machine.environ.get("PATH"):
            value["env"] = {"PATH": path}
        return Entry(value)

    def http(self, _url: str) -> None:
        return None

    def token_hint(self) -> str:
        return "Claude Desktop has no means to take a token from"
