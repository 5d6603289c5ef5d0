"""`token new | list | revoke`: API tokens for identities."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from shim.cli import administering, completing, output
from shim.cli.errors import problem, usage
from shim.cli.options import DEFAULT_CONFIG, AsJson, Config, configuration
from shim.errors import RecordUnavailable


def new(
    identity: Annotated[str, typer.Argument(metavar="IDENTITY", autocompletion=completing.identities)],
    config: Config = DEFAULT_CONFIG,
    expires: Annotated[str, typer.Option("--expires", metavar="90d|DATE|never", help="When it ends.")] = "90d",
    run: Annotated[str | None, typer.Option("--run", metavar="NAME", help="The run that its calls belong to.")] = None,
) -> None:
    """Print a fresh token, once. Only its digest is kept."""
    from shim.identity import tokens

    loaded = configuration(config, expand=False)
    _check_expiry(expires)
    try:
        issued = tokens.new(
            loaded.tokens,
            loaded.identities,
            identity,
            now=datetime.now(UTC),
            random=secrets.token_bytes,
            expires=expires,
            run=run,
        )
    except tokens.UnknownIdentity as error:
        raise usage(str(error)) from None
    about = {"id": issued.id, "identity": issued.identity, "expires": issued.expires, "run": issued.run}
    try:
        administering.record(loaded, "token.new", about)
    except RecordUnavailable as error:
        # Nobody has seen it yet: a token that is not on the record must not stay.
        tokens.revoke(loaded.tokens, loaded.identities, issued.id)
        raise problem(f"no token was made, because it could not be recorded: {error}") from None
    end = f"until {issued.expires}" if issued.expires is not None else "without an end"
    output.say(f"{issued.id} ({issued.identity}, {end}); revoke it with: mcp-shim token revoke {issued.id}")
    output.line(issued.token)


def _check_expiry(text: str) -> None:
    from shim.identity.expiry import instant
    from shim.units import seconds

    if text == "never":
        return
    for read in (seconds, instant):
        try:
            read(text)
        except ValueError:
            continue
        return
    raise usage(f"--expires: {text!r} is neither a duration (90d) nor a date (2027-06-01) nor `never`")


def list_(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Tokens by id; never the tokens themselves."""
    from shim.identity import tokens

    loaded = configuration(config, expand=False)
    found = tokens.listed(loaded.tokens, loaded.identities)
    if as_json:
        names = ("id", "identity", "run", "created", "expires")
        output.json_array({name: asdict(token)[name] for name in names} for token in found)
        return
    cells = (
        (token.id, token.identity, token.run or "", token.created or "", token.expires or "never") for token in found
    )
    output.table(("id", "identity", "run", "created", "expires"), cells, "there are no tokens")


def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", autocompletion=completing.tokens)], config: Config = DEFAULT_CONFIG
) -> None:
    """End a token, from the next request on."""
    from shim.identity import tokens

    loaded = configuration(config, expand=False)
    identity = tokens.revoke(loaded.tokens, loaded.identities, id_)
    output.say(f"{id_} of {identity} is revoked")
    try:
        administering.record(loaded, "token.revoke", {"id": id_, "identity": identity})
    except RecordUnavailable as error:
        raise problem(f"that it was revoked could not be recorded: {error}") from None


def add_to(app: typer.Typer) -> None:
    """Add the group `token`."""
    group = typer.Typer(no_args_is_help=True, help="Make, list and revoke API tokens.", rich_markup_mode=None)
    group.command()(new)
    group.command("list")(list_)
    group.command()(revoke)
    app.add_typer(group, name="token")
