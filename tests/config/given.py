"""Configurations for these tests, in a folder of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shim.config.configuration import Configuration
from shim.config.loader import load
from shim.errors import ConfigurationError

GOOD = """version: 1
upstreams:
  git: {command: [mcp-server-git]}
identities:
  me: {local: true, groups: [people]}
"""


def write(folder: Path, text: str | bytes, name: str = "shim.yaml", mode: int = 0o600) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def loaded(
    folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None, *, expand: bool = True
) -> Configuration:
    return load(write(folder, text), environ or {}, expand=expand)


def faults(
    folder: Path,
    text: str | bytes,
    environ: Mapping[str, str] | None = None,
    *,
    mode: int = 0o600,
    expand: bool = True,
) -> list[str]:
    """`LINE: message` for each fault, with the file in front where it is not `shim.yaml`; none where it loads."""
    try:
        load(write(folder, text, mode=mode), environ or {}, expand=expand)
    except ConfigurationError as error:
        return [str(problem).removeprefix(f"{folder}/").removeprefix("shim.yaml:") for problem in error.problems]
    return []
