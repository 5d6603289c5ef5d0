"""The command line: a thin skin over functions of the parts, one file a group of verbs."""

from __future__ import annotations

from shim.cli.main import main

__all__ = ["main"]
