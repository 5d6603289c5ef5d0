"""Who follows a page: a newcomer with an assistant, an operator with a running installation, and a fresh checkout."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from shim.cli import sample
from tests.docs.world import World, environment, free_port
from tests.parts.install import ROOT

KEY = "ghp_" + "k3yInPlainText" * 3

_CHECKOUT = (
    "shim",
    "config/shim.yaml",
    "config/shim.schema.json",
    "examples",
    "Makefile",
    "README.md",
    "LICENSE",
    "pyproject.toml",
    "requirements.lock",
)


def assistant(home: Path) -> None:
    """Give Claude Code, in this home, two servers, and a key in plain text beside one of them."""
    sample.make(home / "project")
    git: dict[str, object] = {
        "type": "stdio",
        "command": "mcp-server-git",
        "args": ["--repository", str(home / "project")],
        "env": {"GITHUB_TOKEN": KEY},
    }
    time = {"type": "stdio", "command": "mcp-server-time", "args": ["--local-timezone", "Etc/UTC"], "env": {}}
    document = {"numStartups": 3, "mcpServers": {"git": git, "time": time}}
    (home / ".claude.json").write_text(json.dumps(document, indent=2))


def installation(folder: Path) -> None:
    """The configuration that comes with the project and its sample repository."""
    shutil.copytree(ROOT / "config", folder / "config", ignore=shutil.ignore_patterns("var", "tokens.yaml", "*.key"))
    sample.make(folder / "config" / "var" / "sample")


def checkout(folder: Path) -> World:
    """What `git clone` and the first `make` give, on a port that is free; the environment is the one that runs here."""
    for name in _CHECKOUT:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "var", "tokens.yaml"))
        else:
            shutil.copy(source, target)
    installed = folder / ".venv"
    installed.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (installed / name).symlink_to(Path(sys.prefix) / name)
    (installed / ".ready").touch()
    config = folder / "config" / "shim.yaml"
    config.write_text(config.read_text().replace("127.0.0.1:8765", f"127.0.0.1:{free_port()}"))
    return World(folder, environment(folder.parent / "home", installed / "bin"))
