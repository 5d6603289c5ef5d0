"""What the shell offers for a value when Tab is pressed: names from the configuration and from the last catalog.

A shell puts what it is offered onto the command line as it stands, so only names that mean nothing to any shell are.
What cannot be read offers nothing: a person who is typing is told nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from shim.cli.options import DEFAULT_CONFIG, configuration, store_path
from shim.errors import ShimError

if TYPE_CHECKING:
    from shim.config.configuration import Configuration

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*", re.ASCII)


def identities(context: typer.Context, incomplete: str) -> list[str]:
    """The identities of the configuration."""
    return _offered(context, incomplete, lambda config: config.identities)


def tools(context: typer.Context, incomplete: str) -> list[str]:
    """The tools of the last catalog, as policy names them."""
    return _offered(context, incomplete, _remembered)


def tokens(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of tokens."""

    def listed(config: Configuration) -> Iterable[str]:
        from shim.identity.tokens import listed

        return (token.id for token in listed(config.tokens, config.identities))

    return _offered(context, incomplete, listed)


def leases(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of leases that are alive."""

    def living(config: Configuration) -> Iterable[str]:
        from shim.store.reader import Reader

        with Reader(store_path(config)) as record:
            return [row.lease for row in record.leases(ended=False)]

    return _offered(context, incomplete, living)


def given(context: typer.Context, incomplete: str) -> list[str]:
    """The secrets of which somebody gave one."""

    def names(config: Configuration) -> Iterable[str]:
        from shim.store.reader import Reader

        with Reader(store_path(config)) as record:
            return sorted({row.secret for row in record.given()})

    return _offered(context, incomplete, names)


def _remembered(config: Configuration) -> Iterable[str]:
    from shim.cli import knowing

    return knowing.catalog(config, knowing.remembered(config)).now.by_ref


def _offered(context: typer.Context, incomplete: str, names: Callable[[Configuration], Iterable[str]]) -> list[str]:
    try:
        found = names(configuration(_path(context), expand=False))
        return [name for name in found if name.startswith(incomplete) and _PLAIN.fullmatch(name)]
    except (ShimError, OSError):
        return []


def _path(context: typer.Context) -> Path:
    # As when the verb runs: the option at the verb, then before it, then the variable, then the usual place.
    before = context.find_root().params.get("config")
    at_verb = context.params.get("config")
    source = context.get_parameter_source("config")
    chosen = at_verb if source is not None and source.name == "COMMANDLINE" else before or at_verb
    return Path(os.fspath(chosen or DEFAULT_CONFIG))
