"""`secrets list | leases | revoke`: what is configured, what of it is lent now, and ending that. Never a value."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from shim.cli import administering, completing, given, output
from shim.cli.errors import problem
from shim.cli.options import DEFAULT_CONFIG, AsJson, Config, configuration
from shim.cli.reading import reader_if_any, say_nothing_yet
from shim.cli.text import visible
from shim.model import JsonObject

if TYPE_CHECKING:
    from shim.store.tx import LeaseRow

_MEMBERS = ("lease", "secret", "source", "identity", "invocation", "issued", "expires", "revoked")


def list_(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """The secrets of the configuration, and which upstreams are handed them. No source is asked."""
    from shim.cli import secrets

    found = [*secrets.listed(configuration(config, expand=False))]
    if as_json:
        output.json_array(found)
        return
    columns = ("secret", "source", "kind", "scope", "ttl", "lives", "upstreams")
    output.table(columns, (_cells(one) for one in found), "no secrets are configured")


def _cells(one: JsonObject) -> Sequence[str]:
    ttl = "" if one["ttl"] is None else f"{one['ttl']:g} s"
    lives = "until it is changed" if one["long_lived"] else "while it is leased"
    scope = f"{one['scope']}, another for each caller" if one["of_a_caller"] else one["scope"]
    return one["name"], one["source"], one["kind"], scope, ttl, lives, ", ".join(one["upstreams"])


def leases(
    config: Config = DEFAULT_CONFIG,
    all_: Annotated[bool, typer.Option("--all", help="Also those that ended within the last day.")] = False,
    as_json: AsJson = False,
) -> None:
    """Credentials that were issued and are not over. What its source cannot revoke is not among them."""
    with reader_if_any(config) as record:
        rows = record.leases(ended=all_) if record is not None else []
        gone = {row.lease for row in rows if record is not None and not record.is_alive(row.process)}
    if as_json:
        output.json_array({name: asdict(row)[name] for name in _MEMBERS} for row in rows)
        return
    if record is None:
        say_nothing_yet()
        return
    columns = ("lease", "secret", "source", "identity", "issued", "expires", "state")
    output.table(columns, (_row(row, is_left=row.lease in gone) for row in rows), "no lease is alive")


def _row(row: LeaseRow, *, is_left: bool) -> Sequence[str]:
    times = (_time(row.issued), _time(row.expires))
    state = f"ended {_time(row.revoked)}" if row.revoked is not None else "left behind" if is_left else "alive"
    return row.lease, row.secret, row.source, row.identity or "(the shim)", *times, state


def _time(stamp: str | None) -> str:
    return "" if stamp is None else stamp.replace("T", " ")[:19]


def revoke(
    lease: Annotated[str, typer.Argument(metavar="LEASE", autocompletion=completing.leases)],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Have its source end a lease now, whoever uses it, also while the shim runs."""
    from shim import revoking
    from shim.cli.running import run

    loaded = configuration(config)
    with reader_if_any(config) as record:
        if record is None:
            raise problem(f"there is no lease {visible(lease)!r}: nothing was recorded yet")
    row = run(revoking.revoke(loaded, lease, os.environ, user=administering.user()))
    if row.revoked is not None:
        output.say(f"{lease} ended already, at {row.revoked}")
    else:
        whose = row.identity or "the shim"
        output.say(visible(f"{lease} ({row.secret} of {row.source}, for {whose}) is revoked"))


def add_to(app: typer.Typer) -> None:
    """Add the group `secrets`."""
    about = "List secrets and their leases, and revoke one; never a value."
    group = typer.Typer(no_args_is_help=True, help=about, rich_markup_mode=None)
    group.command("list")(list_)
    group.command()(leases)
    group.command()(revoke)
    group.command()(given.given)
    group.command()(given.forget)
    app.add_typer(group, name="secrets")
