"""VS Code: `mcp.json` of the user and `.vscode/mcp.json`, both `servers` and `inputs`; older ones `mcp` in settings.

Sources: code.visualstudio.com, "MCP configuration reference" and "Variables reference"; microsoft/vscode,
`src/vs/workbench/contrib/mcp/common/mcpConfiguration.ts` (comments and trailing commas are allowed; an `env` value may
be null or a number). `envFile` is in `envfile`. `${input:ID}` asks the person once and keeps the answer encrypted.
`settings.json` with `mcp.servers` (user and workspace) is what versions before 1.102 wrote; it is read, never written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from shim.clients.client import Entry, Extra, Machine
from shim.clients.entries import Shape, editor_variables, servers_at
from shim.clients.envfile import with_file
from shim.clients.server import ClientName, Origin, Server, Unusable
from shim.model import Json, JsonObject

_INPUT = "mcp-shim-token"


class VSCode:
    """One of `registry.CLIENTS`."""

    name: ClientName = "vscode"
    title = "VS Code"
    syntax: Literal["json", "toml"] = "json"
    section: tuple[str, ...] = ("servers",)

    def user_file(self, machine: Machine) -> Path:
        return machine.applications / "Code" / "User" / "mcp.json"

    def project_file(self, machine: Machine) -> Path:
        return machine.folder / ".vscode" / "mcp.json"

    def files(self, machine: Machine) -> Sequence[Origin]:
        project, user = machine.folder / ".vscode", machine.applications / "Code" / "User"
        return (
            Origin(self.name, project / "mcp.json", "project", machine.folder),
            Origin(self.name, project / "settings.json", "project", machine.folder),
            Origin(self.name, user / "mcp.json", "user"),
            Origin(self.name, user / "settings.json", "user"),
        )

    def read(self, document: JsonObject, origin: Origin, machine: Machine) -> Iterator[Server | Unusable]:
        path, within = self.section, document
        if origin.file.name == "settings.json":
            settings = document.get("mcp")
            path, within = ("mcp", "servers"), settings if isinstance(settings, dict) else {}
        secret = frozenset(_passwords(within.get("inputs")))
        for found in servers_at(document, path, origin, Shape(editor_variables(machine))):
            if isinstance(found, Server):
                found = with_file(replace(found, secret_inputs=secret), document, machine)
            yield found

    def stdio(self, command: Sequence[str], _machine: Machine) -> Entry:
        return Entry({"type": "stdio", "command": command[0], "args": list(command[1:])})

    def http(self, url: str) -> Entry:
        asked: JsonObject = {
            "type": "promptString",
            "id": _INPUT,
            "description": "Token for mcp-shim (mcp-shim token new)",
            "password": True,
        }
        value: JsonObject = {
            "type": "http",
            "url": url,
            "headers": {"Authorization": f"Bearer ${{input:{_INPUT}}}"},
        }
        return Entry(value, Extra(("inputs",), _INPUT, asked))

    def token_hint(self) -> str:
        return "VS Code asks for the token when it first starts the server, and keeps it encrypted"


def _passwords(inputs: Json) -> Iterator[str]:
    for asked in inputs if isinstance(inputs, list) else ():
        if isinstance(asked, dict) and asked.get("password") is True and isinstance(name := asked.get("id"), str):
            yield name
