"""`secrets given | forget`: what people gave, whose and since when, and deleting it. Never a value."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from shim.cli import administering, completing, output
from shim.cli.errors import problem
from shim.cli.options import DEFAULT_CONFIG, AsJson, Config, configuration
from shim.cli.reading import reader_if_any, say_nothing_yet
from shim.cli.text import visible

if TYPE_CHECKING:
    from shim.store.tx import GivenRow

_MEMBERS = ("identity", "secret", "source", "created", "expires", "refreshed")


def given(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Credentials that people gave, and when. No source is asked."""
    with reader_if_any(config) as record:
        rows = record.given() if record is not None else []
    if as_json:
        output.json_array({name: getattr(row, name) for name in _MEMBERS} for row in rows)
        return
    if record is None:
        say_nothing_yet()
        return
    output.table(_MEMBERS, (_cells(row) for row in rows), "nobody gave anything")


def _cells(row: GivenRow) -> tuple[str, ...]:
    times = ((time or "").replace("T", " ")[:19] for time in (row.created, row.expires, row.refreshed))
    return row.identity, row.secret, row.source, *times


def forget(
    secret: Annotated[str, typer.Argument(metavar="SECRET", autocompletion=completing.given)],
    identity: Annotated[str, typer.Option(metavar="NAME", help="Who gave it.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Delete what a person gave, and end it at its source where that can be done; they are asked for it again."""
    from shim import withdrawing
    from shim.cli.running import run

    loaded = configuration(config)
    with reader_if_any(config) as record:
        is_there = record is not None and any(
            (row.identity, row.secret) == (identity, secret) for row in record.given()
        )
    if not is_there:
        raise problem(f"{visible(identity)} gave no {visible(secret)}; `mcp-shim secrets given` lists what people gave")
    run(withdrawing.withdraw(loaded, identity, secret, os.environ, user=administering.user()))
    output.say(visible(f"{secret} of {identity} is forgotten"))
