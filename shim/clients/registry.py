"""All clients that are known, and what their files hold.

Where the user's files are, on Linux and macOS, and the source that says so. `A` is `~/.config`, or what XDG_CONFIG_HOME
names, and on macOS `~/Library/Application Support`; a variable after a file moves it.

- Claude Code: `~/.claude.json`, CLAUDE_CONFIG_DIR. code.claude.com, "MCP" and "Settings".
- Claude Desktop: `A/Claude/claude_desktop_config.json`. modelcontextprotocol.io, "Build a server", for macOS;
  microsoft/vscode, `src/vs/workbench/contrib/mcp/common/discovery/nativeMcpDiscoveryAdapters.ts`, for both.
- Cursor: `~/.cursor/mcp.json`. cursor.com/docs/mcp, "Global Configuration".
- VS Code: `A/Code/User/mcp.json`. microsoft/vscode, `src/vs/platform/environment/node/userDataPath.ts`.
- Codex: `~/.codex/config.toml`, CODEX_HOME. openai/codex, `codex-rs/utils/home-dir/src/lib.rs`.
- Gemini CLI: `~/.gemini/settings.json`, GEMINI_CLI_HOME. google-gemini/gemini-cli, `docs/reference/configuration.md`.

What no such rule finds has to be named: files of the system or of an administrator (`/etc/codex/config.toml`,
`managed-mcp.json`, the system settings of Gemini CLI), profiles and other data folders of VS Code, and what lies in the
folders above a project.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from shim.clients.claude_code import ClaudeCode
from shim.clients.claude_desktop import ClaudeDesktop
from shim.clients.client import Client, Machine, System
from shim.clients.codex import Codex
from shim.clients.cursor import Cursor
from shim.clients.entries import unusable
from shim.clients.errors import Unreadable
from shim.clients.gemini import Gemini
from shim.clients.places import named_origin
from shim.clients.reading import decoded, json_document, read_bytes, toml_document
from shim.clients.server import ClientName, Found, Origin, Server, Unusable
from shim.clients.vscode import VSCode
from shim.model import JsonObject

CLIENTS: Final[Mapping[ClientName, Client]] = {
    client.name: client
    for client in (ClaudeCode(), ClaudeDesktop(), Cursor(), VSCode(), Codex(), Gemini())  # type: Client
}

_OF_CURSOR = re.compile(r"\$\{(?:env:\w|userHome\}|workspaceFolder(?:Basename)?\}|pathSeparator\}|/\})")


def find(
    clients: Sequence[ClientName] | None, *, home: Path, folder: Path, environ: Mapping[str, str], system: System
) -> Found:
    """Every server in the user and project files of these clients; None: of all of them.

    `folder` is where the client would be opened. What cannot be read is there as `Unusable`; nothing is raised.
    """
    machine = Machine(home, folder, environ, system)
    chosen = [CLIENTS[name] for name in clients] if clients is not None else list(CLIENTS.values())
    return found_in(((client, origin) for client in chosen for origin in client.files(machine)), machine)


def read_file(path: Path, *, home: Path, folder: Path, environ: Mapping[str, str], system: System) -> Found:
    """The servers of one file, read as the client would whose file it is, by its place, its name, or what it holds.

    A file that is not there is `Unusable` too.
    """
    machine = Machine(home, folder, environ, system)
    for client in CLIENTS.values():
        for origin in client.files(machine):
            if _same(origin.file, path):
                return found_in([(client, Origin(client.name, path, origin.scope, origin.folder))], machine)
    client = CLIENTS[_guess(path)]
    origin = named_origin(client.name, path, machine)
    found = found_in([(client, origin)], Machine(home, origin.folder or folder, environ, system))
    if not found.files:
        return Found(unusable=(Unusable(origin, None, "there is no such file"),))
    return found


def found_in(files: Iterable[tuple[Client, Origin]], machine: Machine) -> Found:
    """What these files hold."""
    servers: list[Server] = []
    broken: list[Unusable] = []
    exist: list[Origin] = []
    for client, origin in files:
        try:
            content = read_bytes(origin.file)
            if content is None:
                continue
            exist.append(origin)
            document = parsed(client, content)
        except Unreadable as error:
            if origin not in exist:
                exist.append(origin)
            broken.append(unusable(origin, None, str(error)))
            continue
        for one in client.read(document, origin, machine):
            if isinstance(one, Server):
                servers.append(one)
            else:
                broken.append(one)
    return Found(tuple(servers), tuple(broken), tuple(exist))


def parsed(client: Client, content: bytes) -> JsonObject:
    """The document of a client's file. Raises Unreadable."""
    text = decoded(content)
    return toml_document(text) if client.syntax == "toml" else json_document(text)


def _same(one: Path, other: Path) -> bool:
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def _guess(path: Path) -> ClientName:
    if path.suffix == ".toml":
        return "codex"
    if path.name == "claude_desktop_config.json":
        return "claude-desktop"
    if path.parent.name == ".vscode":
        return "vscode"
    if path.parent.name == ".cursor":
        return "cursor"
    if path.parent.name == ".gemini":
        return "gemini"
    try:
        content = read_bytes(path)
        text = decoded(content) if content is not None else "{}"
        document = json_document(text)
    except Unreadable:
        return "claude-code"
    servers = document.get("mcpServers")
    if not isinstance(servers, dict):
        return "vscode" if "servers" in document or "mcp" in document else "claude-code"
    # Which words, or which variables, only one of them has.
    if path.name == "settings.json" or any(isinstance(one, dict) and "httpUrl" in one for one in servers.values()):
        return "gemini"
    return "cursor" if _OF_CURSOR.search(text) else "claude-code"
