"""Every secret asked of its source once: whether it can be had, never what it is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shim.cli import secrets
from shim.cli.checkup.checks import Check, Section

if TYPE_CHECKING:
    from shim.config.configuration import Configuration

_say = Section("secrets")


def _remedy(path: str | None, place: str) -> str:
    # What else can be done, the reason says.
    if path is not None and not os.path.lexists(path):
        return f"write it into {shlex.quote(path)}, for its owner alone (0600); {place} names it"
    return f"mend that, or change {place}"


def checks(configuration: Configuration) -> Iterator[Check]:
    """All lines of the section."""
    if not configuration.secrets:
        yield _say.info("none", "no secrets are configured")
        return
    why = secrets.unavailable(configuration)
    for name, block in configuration.secrets.items():
        place = configuration.secret_places[name]
        lasts = "; long-lived: it holds until somebody changes it" if secrets.is_long_lived(configuration, name) else ""
        if name in why:
            path = block.path if block.source == "file" else None
            yield _say.error(name, f"{block.source}: {why[name]}", _remedy(path, f"{place.file}:{place.line}"))
        elif block.is_of_a_caller:
            yield _say.info(name, f"{block.source}: another for each caller, so it was not asked for{lasts}")
        elif lasts:
            yield _say.info(name, f"{block.source}: it is there{lasts}")
        else:
            yield _say.info(name, f"{block.source}: it can be had, for as long as a call needs it")
