"""The files of clients, for verbs that look at them: where they are, what the shim fronts of them, their names."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from shim.cli import output
from shim.cli.errors import PROBLEM, usage
from shim.cli.text import visible

if TYPE_CHECKING:
    from shim.clients.client import Client, Machine
    from shim.clients.connection import Fronted
    from shim.clients.server import Server, Unusable
    from shim.config.configuration import Configuration

_MOST = 8
"""Servers that one line names; the rest are counted."""
_LONGEST = 120
"""Characters of a server's name that are shown."""


def machine(environ: Mapping[str, str], folder: Path, platform: str, files: Sequence[str] = ()) -> Machine:
    """This machine, as clients that are opened in this folder find it, and the `files` that a person named."""
    from shim.clients.client import Machine

    for text in files:
        if not text:
            raise usage("--from: name a file")
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    named = tuple(Path(os.path.normpath(folder / text)) for text in files)
    return Machine(home, folder, environ, "darwin" if platform == "darwin" else "linux", named)


def fronted(loaded: Sequence[Configuration], machine: Machine) -> Fronted:
    """Whether one of these configurations has an upstream that stands for a server."""
    from shim.clients.matching import fronting

    return lambda server: any(
        fronting(server, one.upstreams, environ=machine.environ, folder=machine.folder) is not None for one in loaded
    )


def sweep(client: Client, machine: Machine, began: datetime) -> None:
    """Remove what runs that were killed before this one `began` left beside a client's files, and say so."""
    from shim.clients import temporaries
    from shim.clients.places import origins

    files = (origin.file for origin in origins(client, machine))
    if swept := [path for file in files for path in temporaries.sweep(file, began.timestamp())]:
        output.say(f"removed what a run that was killed had left: {paths(swept)}")


def named(servers: Sequence[Server | Unusable]) -> str:
    """Servers and the files where they stand."""
    names = [f"{visible((server.name or '')[:_LONGEST])} ({shown(server.origin.file)})" for server in servers[:_MOST]]
    more = f" and {len(servers) - _MOST} more" if len(servers) > _MOST else ""
    return ", ".join(names) + more


def paths(several: Sequence[Path]) -> str:
    """Paths, safe to show."""
    return ", ".join(map(shown, several))


def shown(path: Path) -> str:
    """A path, safe to show."""
    return visible(str(path))


def quoted(path: Path) -> str:
    """A path as one word of a shell."""
    return visible(shlex.quote(str(path)))


def end(alone: Sequence[str]) -> None:
    """Say which files were left alone. Raises Exit where there are any."""
    for line in alone:
        output.say(f"mcp-shim: {visible(line)}")
    if alone:
        raise typer.Exit(PROBLEM)
