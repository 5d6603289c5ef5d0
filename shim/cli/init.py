"""`init`: a starting configuration from what the MCP clients of this machine have."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shim.cli import output
from shim.cli.copying import copy
from shim.cli.errors import problem, usage
from shim.cli.making import Making
from shim.cli.options import DEFAULT_CONFIG, AsJson, Config
from shim.cli.surroundings import lay
from shim.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.cli.keeping import Keeping
    from shim.clients.client import System
    from shim.clients.listing import Keys, Listing
    from shim.clients.plan import Plan
    from shim.clients.server import Found
    from shim.config.configuration import Configuration

_LOGIN = ("HTTP status 401", "HTTP status 403")


def init(
    config: Config = DEFAULT_CONFIG,
    from_: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="CLIENT|FILE", help="Only what this client, or this file of one, has."),
    ] = None,
    command: Annotated[
        list[str] | None,
        typer.Option("--command", metavar='"PROGRAM ARGUMENTS"', help="A stdio server, or a program, to add."),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Allow the tools of which their server says that they only read.")
    ] = False,
    keyring: Annotated[bool, typer.Option("--keyring", help="Keep keys in the system's keyring.")] = False,
    wait: Annotated[
        str, typer.Option("--wait", metavar="DURATION", help="How long all servers together have to list their tools.")
    ] = "30s",
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="NAME", help="Nothing of yours: a sample (laptop, team, ci).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A starting configuration from what your MCP clients have. Every server and tool is listed, none allowed yet."""
    from shim.cli.keeping import Files, Keyring
    from shim.cli.taken import Summary
    from shim.clients.adopting import Around, adopt
    from shim.clients.listing import Keys

    patience = _patience(wait)
    config = config.absolute()
    shown = short(config)
    if os.path.lexists(config):
        raise problem(f"{shown} is there already, and nothing was written; move it away, or name another with --config")
    if sample is not None:
        if from_ or command or read_only or keyring:
            raise usage("--sample: a sample is taken as it is, without --from, --command, --read-only or --keyring")
        copy(sample, config, shown, as_json=as_json)
        return
    found, only_files = _found(from_ or [], search=not command)
    keeping: Keeping = Keyring() if keyring else Files(config.parent / "secrets", short(config.parent / "secrets"))
    around = Around(
        Path.cwd(), Path.home(), config.parent, os.environ, keeping.standing, keeping.where, keeping.to_give
    )
    plan = adopt(found, around, commands=[_words(text) for text in command or ()], other_projects=only_files)
    keys = Keys([*plan.secrets.values(), *(os.environ.get(name, "") for name in plan.variables.values())])
    with Making() as making:
        listings, allowed = _make(making, config, plan, keeping, keys, patience, read_only=read_only)
    summary = Summary(shown, plan, listings, keeping, keys, os.environ, allowed)
    if as_json:
        output.json_object(summary.as_json())
    else:
        summary.tell()


def _patience(text: str) -> float:
    from shim.units import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise usage(f"--wait: {error}") from None


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise usage(f"--command: it cannot be split into words ({error})") from None
    if not words or not words[0]:
        raise usage("--command: name a program, and its arguments")
    if "\0" in text:
        raise usage("--command: a command line holds no NUL")
    # What was typed in another encoding stands in a text like this; a configuration cannot say it.
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise usage(
            "--command: it holds bytes that are no UTF-8, which a configuration cannot; name such files otherwise"
        )
    return words


def _found(sources: Sequence[str], *, search: bool) -> tuple[Found, bool]:
    """What the sources hold, and whether a file was named. Raises Stop for one that is none."""
    from shim.clients.registry import CLIENTS, find, read_file
    from shim.clients.server import Found

    system: System = "darwin" if sys.platform == "darwin" else "linux"
    home, folder, environ = Path.home(), Path.cwd(), os.environ
    parts: list[Found] = []
    files = False
    for source in sources:
        client = next((name for name in CLIENTS if name == source), None)
        if client is not None:
            found = find([client], home=home, folder=folder, environ=environ, system=system)
            if not found.files:
                raise problem(f"{CLIENTS[client].title} has no configuration here, and nothing was written")
        elif os.path.lexists(source):
            files = True
            found = read_file(Path(source).absolute(), home=home, folder=folder, environ=environ, system=system)
        else:
            raise usage(f"--from: {source!r} is no file, and no client ({', '.join(CLIENTS)})")
        broken = next((one for one in found.unusable if one.name is None), None)
        if broken is not None and not found.servers:
            raise problem(f"{short(broken.origin.file)}: {broken.why}; nothing was written")
        parts.append(found)
    if not sources and search:
        parts.append(find(None, home=home, folder=folder, environ=environ, system=system))
    return Found(
        tuple(server for part in parts for server in part.servers),
        tuple(one for part in parts for one in part.unusable),
        tuple(file for part in parts for file in part.files),
    ), files


def _make(
    making: Making, config: Path, plan: Plan, keeping: Keeping, keys: Keys, patience: float, *, read_only: bool
) -> tuple[Mapping[str, Listing], int]:
    """Make the secrets, list the tools, make the configuration; what each upstream has, and how many are allowed."""
    from shim.clients.writing import configuration

    def drafted(listings: Mapping[str, Listing]) -> tuple[Path, Configuration]:
        text = configuration(plan, listings, keeping.source, read_only=read_only, keys=keys)
        draft = making.draft(config, text)
        return draft, _accepted(draft)

    lay(making, config)
    keeping.keep(plan.secrets, plan.awaited, making)
    draft, loaded = drafted({})
    draft.unlink()
    listings = _listings(loaded, patience)
    draft, loaded = drafted(listings)
    making.settle(draft, config)
    return listings, sum(len(grant.allow) for grant in loaded.grants)


def _accepted(draft: Path) -> Configuration:
    from shim.config.loader import load

    try:
        return load(draft, os.environ)
    except ConfigurationError as error:
        first = error.problems[0]
        raise problem(
            f"what init made would not be accepted, and nothing was written: {first.message} (line {first.line} of it)"
        ) from None


def _listings(loaded: Configuration, patience: float) -> Mapping[str, Listing]:
    from shim.cli import knowing
    from shim.cli.reaching import reach
    from shim.clients.listing import Listing

    # What servers write to standard error is theirs to say, and may hold their keys.
    logging.getLogger("shim").addHandler(logging.NullHandler())
    reached = reach(loaded, patience)
    contents = knowing.catalog(loaded, reached.offers).now
    listings = {}
    for name, status in reached.status.items():
        problem_ = None
        if name not in reached.offers:
            problem_ = status.error or f"It did not list its tools within {patience:g} s."
            if any(code in problem_ for code in _LOGIN):
                problem_ += " It asks for a login: if it takes a token, name it below `secrets:` and in `headers:`."
        listings[name] = Listing(
            [tool for tool in contents.tools if tool.upstream == name],
            [(out.name, out.why) for out in contents.left_out if (out.upstream, out.kind) == (name, "tool")],
            problem_,
        )
    return listings


def short(path: Path) -> str:
    """A path as it may be typed in the current folder."""
    folder = Path.cwd()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(init)
