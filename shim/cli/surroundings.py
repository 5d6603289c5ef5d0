"""What lies beside a configuration that `init` makes."""

from __future__ import annotations

import os
from pathlib import Path

from shim.cli.making import Making


def lay(making: Making, config: Path) -> None:
    """Make the configuration's folder, the record's, and the schema that its first line names, where they are not."""
    from shim.clients.writing import SCHEMA, STORE
    from shim.config import schema

    making.folder(config.parent)
    # The record and its key are as little for version control as secrets are.
    if making.folder(config.parent / STORE.parent):
        making.file(config.parent / STORE.parent / ".gitignore", "*\n")
    if not os.path.lexists(config.parent / SCHEMA):
        making.file(config.parent / SCHEMA, schema.text())
