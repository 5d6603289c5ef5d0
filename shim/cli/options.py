"""Options that several verbs share, and the configuration they lead to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shim.config.configuration import Configuration

DEFAULT_CONFIG = Path("config/shim.yaml")
CONFIG_VARIABLE = "MCP_SHIM_CONFIG"
DEBUG_VARIABLE = "MCP_SHIM_DEBUG"

Config = Annotated[
    Path,
    typer.Option("--config", envvar=CONFIG_VARIABLE, metavar="PATH", help="The configuration."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Only JSON on standard output.")]


def configuration(path: Path, *, expand: bool = True) -> Configuration:
    """The configuration at `path`; without `expand`, values from the environment may be missing.

    Raises ConfigurationError with every fault at once.
    """
    from shim.config.loader import load

    return load(path, os.environ, expand=expand)


def store_path(loaded: Configuration) -> Path:
    """Where the record of this configuration lies."""
    return Path(loaded.store.path)
