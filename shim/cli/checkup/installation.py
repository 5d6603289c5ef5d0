"""What is installed: which version, where, and on what it stands."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import shim
from shim.cli.checkup.checks import Check, Section

SQLITE_MENDED = (3, 51, 3)
"""Before it, two connections that write and checkpoint at one moment could damage a database (sqlite.org/wal.html)."""

_LIBRARIES = ("mcp", "mcp-types", "anyio", "pydantic", "aiosqlite", "cel-expr-python", "cryptography", "uvicorn")
_EXTRAS = {"keyring": "secrets of source `keyring`"}

_say = Section("installation")


def checks(environ: Mapping[str, str]) -> Iterator[Check]:
    """All lines of the section."""
    yield _say.ok("mcp-shim", f"{shim.__version__} in {Path(shim.__file__).parent}")
    yield _command(environ)
    yield _say.ok("python", f"{platform.python_version()} at {sys.executable}")
    yield _say.ok("platform", platform.platform())
    yield _libraries()
    yield _sqlite()
    for extra, use in _EXTRAS.items():
        yield _extra(extra, use)


def _command(environ: Mapping[str, str]) -> Check:
    # Compared as files: PATH may lead to ours through a link, as `pipx` and `uv tool` make them.
    ours = Path(sys.executable).parent / "mcp-shim"
    found = shutil.which("mcp-shim", path=environ.get("PATH"))
    if found is None:
        return _say.info("command", "no `mcp-shim` is in PATH", "name its full path where a client starts it")
    if os.path.realpath(found) == os.path.realpath(ours):
        return _say.ok("command", f"`mcp-shim` in PATH is this one: {found}")
    return _say.warning(
        "command",
        f"`mcp-shim` in PATH is another one: {found}; this one runs from {ours.parent}",
        f"take one of them out of PATH, or name {ours} where a client starts it",
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _libraries() -> Check:
    found = {name: _version(name) for name in _LIBRARIES}
    missing = [name for name, version in found.items() if version is None]
    if missing:
        return _say.error("libraries", f"not installed: {', '.join(missing)}", "pip install --force-reinstall mcp-shim")
    return _say.ok("libraries", ", ".join(f"{name} {version}" for name, version in found.items()))


def _sqlite() -> Check:
    text = f"{sqlite3.sqlite_version}, the one that this Python uses"
    if sqlite3.sqlite_version_info >= SQLITE_MENDED:
        return _say.ok("sqlite", text)
    mended = ".".join(map(str, SQLITE_MENDED))
    return _say.info("sqlite", f"{text}; only {mended} and newer are safe for other programs that write to the store")


def _extra(name: str, use: str) -> Check:
    version = _version(name)
    if version is not None:
        return _say.ok(name, f"{version}, for {use}")
    return _say.info(name, f"not installed; only {use} need it", f"pip install 'mcp-shim[{name}]' if you use them")
