"""Cursor: `~/.cursor/mcp.json` and `.cursor/mcp.json`, both `mcpServers`.

Sources: Cursor's documentation, "Model Context Protocol", with the variables `${env:NAME} ${userHome}
${workspaceFolder} ${workspaceFolderBasename} ${pathSeparator} ${/}` in command, args, env, url and headers. It tells
stdio from HTTP by `command` and `url`, tries streamable HTTP first, and does not need `type`. Switching a server off is
kept elsewhere than in these files. `envFile` is in `envfile`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from shim.clients.client import TOKEN, Entry, Machine
from shim.clients.entries import Shape, editor_variables, servers_at
from shim.clients.envfile import with_file
from shim.clients.server import ClientName, Origin, Server, Unusable
from shim.model import JsonObject


class Cursor:
    """One of `registry.CLIENTS`."""

    name: ClientName = "cursor"
    title = "Cursor"
    syntax: Literal["json", "toml"] = "json"
    section: tuple[str, ...] = ("mcpServers",)

    def user_file(self, machine: Machine) -> Path:
        return machine.home / ".cursor" / "mcp.json"

    def project_file(self, machine: Machine) -> Path:
        return machine.folder / ".cursor" / "mcp.json"

    def files(self, machine: Machine) -> Sequence[Origin]:
        return (
            Origin(self.name, self.project_file(machine), "project", machine.folder),
            Origin(self.name, self.user_file(machine), "user"),
        )

    def read(self, document: JsonObject, origin: Origin, machine: Machine) -> Iterator[Server | Unusable]:
        for found in servers_at(document, self.section, origin, Shape(editor_variables(machine))):
            yield with_file(found, document, machine) if isinstance(found, Server) else found

    def stdio(self, command: Sequence[str], _machine: Machine) -> Entry:
        return Entry({"command": command[0], "args": list(command[1:])})

    def http(self, url: str) -> Entry:
        return Entry({"url": url, "headers": {"Authorization": f"Bearer ${{env:{TOKEN}}}"}})

    def token_hint(self) -> str:
        return f"Cursor takes the token from the environment variable {TOKEN} that it was started with"
