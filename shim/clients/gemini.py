"""Gemini CLI: `~/.gemini/settings.json` and `.gemini/settings.json`, `mcpServers` among all other settings.

Sources: google-gemini/gemini-cli, `docs/tools/mcp-server.md`, `packages/core/src/tools/mcp-client.ts`
(`createUrlTransport`: `httpUrl` first, then `url` with `type`, then `url` alone with HTTP before SSE; a command last),
`packages/cli/src/utils/envVarResolver.ts` (`$NAME ${NAME} ${NAME:-default}` in every text of the file),
`packages/cli/src/config/mcp/mcpServerEnablement.ts` (`mcp.allowed` and `mcp.excluded`, compared without case; a file of
its own says which are switched off) and `GEMINI_CLI_HOME` in `packages/core/src/utils/paths.ts`. Comments are allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from shim.clients.client import TOKEN, Entry, Machine
from shim.clients.entries import Shape, dollar_variables, is_off, names_in, servers_at
from shim.clients.errors import Unreadable
from shim.clients.reading import decoded, json_document, read_bytes
from shim.clients.server import ClientName, Origin, Server, Unusable
from shim.model import Json, JsonObject


class Gemini:
    """One of `registry.CLIENTS`."""

    name: ClientName = "gemini"
    title = "Gemini CLI"
    syntax: Literal["json", "toml"] = "json"
    section: tuple[str, ...] = ("mcpServers",)

    def user_file(self, machine: Machine) -> Path:
        return _home(machine) / "settings.json"

    def project_file(self, machine: Machine) -> Path:
        return machine.folder / ".gemini" / "settings.json"

    def files(self, machine: Machine) -> Sequence[Origin]:
        return (
            Origin(self.name, self.project_file(machine), "project", machine.folder),
            Origin(self.name, self.user_file(machine), "user"),
        )

    def read(self, document: JsonObject, origin: Origin, machine: Machine) -> Iterator[Server | Unusable]:
        rules = document.get("mcp")
        allowed = _folded(rules.get("allowed")) if isinstance(rules, dict) else frozenset()
        excluded = _folded(rules.get("excluded")) if isinstance(rules, dict) else frozenset()
        excluded |= _switched_off(machine)
        shape = Shape(dollar_variables, url_first=True, environ=machine.environ)
        for found in servers_at(_with_one_url(document), self.section, origin, shape):
            if isinstance(found, Server):
                name = _fold(found.name)
                off = name in excluded or bool(allowed and name not in allowed)
                yield replace(found, disabled=found.disabled or off)
            else:
                yield found

    def stdio(self, command: Sequence[str], _machine: Machine) -> Entry:
        return Entry({"command": command[0], "args": list(command[1:])})

    def http(self, url: str) -> Entry:
        # Not `url` with `type`, which is newer: `httpUrl` is streamable HTTP for every version.
        return Entry({"httpUrl": url, "headers": {"Authorization": f"Bearer ${TOKEN}"}})

    def token_hint(self) -> str:
        return f"Gemini CLI takes the token from the environment variable {TOKEN}"


def _home(machine: Machine) -> Path:
    return machine.configured("GEMINI_CLI_HOME", machine.home) / ".gemini"


def _fold(name: str) -> str:
    return name.lower().strip()


def _folded(value: Json) -> frozenset[str]:
    return frozenset(map(_fold, names_in(value)))


def _with_one_url(document: JsonObject) -> JsonObject:
    # `httpUrl` wins over `url`; as `url` with a `type` both are the shape that the others have.
    servers = document.get("mcpServers")
    if not isinstance(servers, dict):
        return document
    changed: JsonObject = {}
    for name, entry in servers.items():
        if isinstance(entry, dict) and "httpUrl" in entry:
            rest: JsonObject = {key: value for key, value in entry.items() if key != "httpUrl"}
            changed[name] = {**rest, "url": entry["httpUrl"], "type": "http"}
        else:
            changed[name] = entry
    return {**document, "mcpServers": changed}


def _switched_off(machine: Machine) -> frozenset[str]:
    try:
        content = read_bytes(_home(machine) / "mcp-server-enablement.json")
        states = json_document(decoded(content)) if content is not None else {}
    except Unreadable:
        return frozenset()
    return frozenset(_fold(name) for name, state in states.items() if isinstance(state, dict) and is_off(state))
