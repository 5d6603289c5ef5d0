"""`connect --undo`: what taking the shim out of a client did."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from shim.cli import clientfiles as said
from shim.cli import output
from shim.cli.options import configuration
from shim.errors import ConfigurationError

if TYPE_CHECKING:
    from shim.clients.client import Client, Machine
    from shim.clients.undoing import Undone
    from shim.config.configuration import Configuration


def undo(client: Client, machine: Machine, config: Path, began: datetime) -> None:
    """Take the shim out of a client, and say what came back, what did not, and what is kept."""
    from shim.clients import undoing

    asked = _asked(client, machine, config)
    done = undoing.undo(client, machine, fronted=said.fronted(asked, machine) if asked else lambda _: True)
    said.sweep(client, machine, began)
    if done is None or not (done.files or done.alone):
        output.say(f"{said.shown(client.user_file(machine))}: there is no entry of the shim; nothing to undo")
    else:
        _say_undone(done, asked)
    if done is not None:
        if done.removed:
            output.say(f"needed no more, and removed: {said.paths(done.removed)}")
        for file in done.elsewhere:
            output.say(
                f"changed together with it: {said.shown(file)}; to put it back: --undo --from {said.quoted(file)}"
            )
        if done.files:
            output.say(f"next: restart {client.title}")
        said.end(done.alone)


def _asked(client: Client, machine: Machine, config: Path) -> Sequence[Configuration]:
    """Every configuration that the client was connected with, and the one that is named.

    None at all where one of them cannot be read: taking the shim away must work without one that holds, and then what
    was moved is guessed to be all that is gone.
    """
    from shim.clients import undoing
    from shim.clients.connection import configuration_of

    named = {configuration_of(entry, machine) for entry in undoing.entries(client, machine)}
    needed = {os.path.realpath(path): path for path in sorted(path for path in named if path is not None)}
    # An entry that reaches a server does not say by which configuration that runs.
    is_needed = not needed or None in named
    loaded: dict[str, Configuration] = {}
    for path in (config, *needed.values()):
        try:
            loaded[os.path.realpath(path)] = configuration(path, expand=False)
        except ConfigurationError:
            if path is not config or is_needed:
                output.say(
                    f"the configuration cannot be read: {said.shown(path.absolute())}; "
                    "every server of the backup that is gone is put back"
                )
                return ()
    return tuple(loaded.values())


def _say_undone(done: Undone, asked: Sequence[Configuration]) -> None:
    if not done.backup:
        output.say("there is no backup: only the entry was taken out")
    elif done.exact:
        output.say(f"{'everything' if not done.elsewhere else 'what was looked at'} is as it was before")
    else:
        output.say("something was changed since: that stays, and the entry was taken out")
    for path in done.files:
        output.say(f"{'changed' if os.path.lexists(path) else 'removed'}: {said.shown(path)}")
    if done.back:
        output.say(f"put back: {said.named(done.back)}")
    if done.lost:
        configurations = said.paths([one.path for one in asked])
        output.say(f"not put back, since no upstream of {configurations} stands for them: {said.named(done.lost)}")
    if done.kept:
        output.say(f"kept, with any key that stood there; delete it when nothing is missing: {said.paths(done.kept)}")
