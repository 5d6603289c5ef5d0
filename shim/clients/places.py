"""Which files of a client are looked at: the user's, this folder's, and those that a person named."""

from __future__ import annotations

import os
from pathlib import Path

from shim.clients.client import Client, Machine
from shim.clients.server import ClientName, Origin

_WITHIN = (".vscode", ".cursor", ".codex", ".gemini")
"""Folders in which a project's file lies below the project."""


def origins(client: Client, machine: Machine) -> list[Origin]:
    """All files of a client, its user file first; one that is reached by several ways is there once."""
    user = Origin(client.name, client.user_file(machine), "user")
    named = [named_origin(client.name, path, machine) for path in machine.named]
    found: dict[str, Origin] = {}
    for origin in (user, *client.files(machine), *named):
        found.setdefault(os.path.realpath(origin.file), origin)
    return list(found.values())


def named_origin(client: ClientName, path: Path, machine: Machine) -> Origin:
    """A file that somebody named: its servers are of the folder where it lies, as in a project."""
    file = machine.folder / path
    parent = file.parent
    return Origin(client, file, "project", parent.parent if parent.name in _WITHIN else parent)
