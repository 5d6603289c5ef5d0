"""`connect`: the entry that makes a client use the shim: printed, put into the client's file, or taken out again."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shim.cli import clientfiles as said
from shim.cli import completing, knowing, output
from shim.cli.errors import problem, usage
from shim.cli.options import DEFAULT_CONFIG, Config, configuration
from shim.cli.text import visible
from shim.clients.server import ClientName, Server
from shim.model import JsonObject

if TYPE_CHECKING:
    from shim.clients.client import Client, Entry, Machine
    from shim.config.configuration import Configuration


def connect(
    client: Annotated[ClientName, typer.Argument(metavar="CLIENT", help="The assistant.")],
    identity: Annotated[
        str | None,
        typer.Option("--identity", metavar="NAME", help="Who it is.", autocompletion=completing.identities),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    write: Annotated[bool, typer.Option("--write", help="Put the entry into the client's file.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="With --write: move out what the shim fronts.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put everything back.")] = False,
    from_: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="FILE", help="Look at this file of the client, too; servers stand there."),
    ] = None,
) -> None:
    """The configuration of a client, printed, written or taken back."""
    from shim.cli import disconnecting
    from shim.clients.connection import LeftAlone
    from shim.clients.registry import CLIENTS

    if undo and (write or replace):
        raise usage("--undo stands alone: it takes back what --write and --replace did")
    if replace and not write:
        raise usage("--replace changes files: write it together with --write")
    if from_ and not (write or undo):
        raise usage("--from names what --write, --replace or --undo look at")
    for text in from_ or () if write else ():
        if not os.path.lexists(text):
            raise usage(f"--from: {visible(text)} is no file")
    began = datetime.now(UTC)
    machine = said.machine(os.environ, Path.cwd(), sys.platform, from_ or ())
    try:
        if undo:
            disconnecting.undo(CLIENTS[client], machine, config, began)
            return
        if identity is None:
            raise usage("--identity NAME: say who the client is")
        loaded = configuration(config, expand=False)
        entry = _entry(loaded, CLIENTS[client], machine, identity)
        if write:
            _write(loaded, CLIENTS[client], machine, identity, entry, began, replace=replace)
        else:
            output.line(_snippet(CLIENTS[client], entry))
            output.say(f"put this into {said.shown(CLIENTS[client].user_file(machine))}, or run it again with --write")
            _say_next(loaded, CLIENTS[client], identity)
    except LeftAlone as error:
        raise problem(str(error)) from None


def _entry(loaded: Configuration, client: Client, machine: Machine, identity: str) -> Entry:
    """The entry for an identity. Raises Stop where this client cannot be it."""
    knowing.identity(loaded, identity)
    block = loaded.identities.get(identity)
    if block is None:
        raise usage(f"{identity} signs in at the issuer: give {client.title} the URL {_url(loaded)} and no token")
    if block.local:
        return _started(loaded, client, machine, identity)
    if block.anonymous:
        raise usage(
            f"{identity} is who comes without a credential; connect as an identity that is local or has a token"
        )
    entry = client.http(_url(loaded))
    if entry is None:
        raise usage(f"{client.title} cannot send a token; write `local: true` for {identity}, or connect as another")
    return entry


def _started(loaded: Configuration, client: Client, machine: Machine, identity: str) -> Entry:
    from shim.clients.client import ENTRY
    from shim.clients.server import Origin

    command = [*_program(), "stdio", "--identity", identity, "--config", str(loaded.path.absolute())]
    entry = client.stdio(command, machine)
    document = {client.section[0]: {ENTRY: entry.value}}
    origin = Origin(client.name, client.user_file(machine), "user")
    # What the client would make of it: some put variables into arguments, and a path may look like one.
    read = [one for one in client.read(document, origin, machine) if isinstance(one, Server)]
    if [one.command for one in read] != [tuple(command)]:
        raise usage(f"{client.title} would not read this path as it stands: {visible(command[-1])}; move the file")
    return entry


def _program() -> list[str]:
    # The one that runs now: a client starts it with another PATH, and in no environment that was activated.
    beside = Path(sys.executable).parent / "mcp-shim"
    return [str(beside)] if beside.is_file() else [sys.executable, "-m", "shim"]


def _url(loaded: Configuration) -> str:
    from shim.config.listening import address

    host, port = address(loaded.server.listen)
    if loaded.server.url is None and (port == 0 or host in ("0.0.0.0", "::")):  # noqa: S104 - refused, not listened on
        raise usage(f"`listen: {loaded.server.listen}` says not how clients reach it; write `url:` under `server:`")
    return loaded.url


def _snippet(client: Client, entry: Entry) -> str:
    from shim.clients import toml
    from shim.clients.client import ENTRY

    if client.syntax == "toml":
        return _escaped(toml.rendered(client.section[0], ENTRY, entry.value)).rstrip("\n")
    document: JsonObject = {client.section[0]: {ENTRY: entry.value}}
    if entry.extra is not None:
        document = {entry.extra.path[0]: [entry.extra.value], **document}
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return text if visible(text, lines=True) == text else json.dumps(document, indent=2)


def _escaped(text: str) -> str:
    # TOML writes a character that is not safe to show as JSON does, but for those beyond four digits.
    safe = (
        character if character == "\n" or visible(character) == character else f"\\U{ord(character):08x}"
        for character in text
    )
    return "".join(safe)


def _write(
    loaded: Configuration,
    client: Client,
    machine: Machine,
    identity: str,
    entry: Entry,
    began: datetime,
    *,
    replace: bool,
) -> None:
    from shim.clients import connection

    fronted = said.fronted([loaded], machine)
    done = connection.connect(client, machine, entry, began, fronted=fronted, moving=replace)
    if not done.backups:
        output.say(f"{said.shown(done.file)}: already connected as {identity}; nothing was changed")
    else:
        output.say(f"{said.shown(done.file)}: {client.title} is connected as {identity}")
        if done.moved:
            output.say(f"moved behind the shim: {said.named(done.moved)}")
        output.say(f"kept for --undo, with any key that stood there: {said.paths(done.backups)}")
        if any(server.origin.scope == "project" for server in done.moved):
            output.say(
                "files of a project may be shared: whoever uses them without the shim has those servers no more. "
                "Leave what was kept out of version control; --undo puts everything back"
            )
    if done.around:
        output.say(f"not governed, {client.title} still has: {said.named(done.around)}")
        if not replace and any(isinstance(one, Server) and fronted(one) for one in done.around):
            output.say("add --replace to move out those that the shim fronts")
    said.sweep(client, machine, began)
    _say_next(loaded, client, identity)
    said.end(done.alone)


def _say_next(loaded: Configuration, client: Client, identity: str) -> None:
    if loaded.identities[identity].local:
        if loaded.variables:
            names = ", ".join(loaded.variables)
            output.say(f"{client.title} has to start the shim with {names} set: without one of them it does not start")
        output.say(f"next: restart {client.title}")
        return
    from shim.clients.client import TOKEN

    output.say(f"next: mcp-shim token new {identity}")
    output.say(f"      {client.token_hint()}" + (f": export {TOKEN}=…" if TOKEN in client.token_hint() else ""))
    output.say(f"      mcp-shim serve has to run; then restart {client.title}")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(connect)
