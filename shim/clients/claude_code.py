"""Claude Code: `~/.claude.json` (for all projects, and under `projects` for one) and `.mcp.json`, all `mcpServers`.

Sources: code.claude.com, "Connect Claude Code to tools via MCP": the three scopes and their order (local, project,
user), `${NAME}` and `${NAME:-default}` in command, args, env, url and headers, `streamable-http` as another word for
`http`, `headersHelper`; "Settings": `disabledMcpjsonServers` of the settings files rejects servers of `.mcp.json`. What
`/mcp` switches off stands in `disabledMcpServers` of the project's entry. `CLAUDE_CONFIG_DIR` moves `.claude.json` and
what is otherwise in `~/.claude`. The file also keeps histories and may hold megabytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from shim.clients.client import TOKEN, Entry, Machine
from shim.clients.entries import Expand, Shape, names_in, servers_at, shell_variables
from shim.clients.errors import Unreadable
from shim.clients.reading import decoded, json_document, read_bytes
from shim.clients.server import ClientName, Origin, Server, Unusable
from shim.model import JsonObject

_PROJECT_DIR = ("${CLAUDE_PROJECT_DIR}", "${CLAUDE_PROJECT_DIR:-.}")


class ClaudeCode:
    """One of `registry.CLIENTS`."""

    name: ClientName = "claude-code"
    title = "Claude Code"
    syntax: Literal["json", "toml"] = "json"
    section: tuple[str, ...] = ("mcpServers",)

    def user_file(self, machine: Machine) -> Path:
        return machine.configured("CLAUDE_CONFIG_DIR", machine.home) / ".claude.json"

    def project_file(self, machine: Machine) -> Path:
        return machine.folder / ".mcp.json"

    def files(self, machine: Machine) -> Sequence[Origin]:
        return (
            Origin(self.name, self.project_file(machine), "project", machine.folder),
            Origin(self.name, self.user_file(machine), "user"),
        )

    def read(self, document: JsonObject, origin: Origin, machine: Machine) -> Iterator[Server | Unusable]:
        if origin.scope == "project":
            off = _rejected(machine)
            shape = Shape(_variables(origin.folder or machine.folder), environ=machine.environ)
            yield from _without(servers_at(document, self.section, origin, shape), off)
            return
        here: frozenset[str] = frozenset()
        projects = document.get("projects")
        for key, project in projects.items() if isinstance(projects, dict) else ():
            folder = _folder(key)
            if folder is None or not isinstance(project, dict):
                continue
            off = names_in(project.get("disabledMcpServers"))
            if folder == machine.folder:
                here = off
            local = replace(origin, scope="project", folder=folder)
            shape = Shape(_variables(folder), environ=machine.environ)
            found = servers_at(document, ("projects", key, "mcpServers"), local, shape)
            yield from _without(found, off)
        shape = Shape(_variables(machine.folder), environ=machine.environ)
        yield from _without(servers_at(document, self.section, origin, shape), here)

    def stdio(self, command: Sequence[str], _machine: Machine) -> Entry:
        return Entry({"type": "stdio", "command": command[0], "args": list(command[1:]), "env": {}})

    def http(self, url: str) -> Entry:
        return Entry({"type": "http", "url": url, "headers": {"Authorization": f"Bearer ${{{TOKEN}}}"}})

    def token_hint(self) -> str:
        return f"Claude Code takes the token from the environment variable {TOKEN}"


def _variables(folder: Path) -> Expand:
    def expand(text: str) -> str:
        for spelled in _PROJECT_DIR:
            text = text.replace(spelled, str(folder))
        return shell_variables(text)

    return expand


def _folder(key: str) -> Path | None:
    # What no system has as a path belongs to no project.
    try:
        os.fsencode(key)
    except UnicodeEncodeError:
        return None
    return None if "\0" in key else Path(key)


def _without(found: Iterator[Server | Unusable], off: frozenset[str]) -> Iterator[Server | Unusable]:
    for server in found:
        if isinstance(server, Server) and server.name in off:
            yield replace(server, disabled=True)
        else:
            yield server


def _rejected(machine: Machine) -> frozenset[str]:
    # A rejection in any settings file holds; one that cannot be read rejects nothing.
    folders = (machine.configured("CLAUDE_CONFIG_DIR", machine.home / ".claude"), machine.folder / ".claude")
    names: set[str] = set()
    for path in (folders[0] / "settings.json", folders[1] / "settings.json", folders[1] / "settings.local.json"):
        try:
            content = read_bytes(path)
            settings = json_document(decoded(content)) if content is not None else {}
        except Unreadable:
            continue
        names |= names_in(settings.get("disabledMcpjsonServers"))
    return frozenset(names)
