"""Connecting a client to the shim.

That is one change of the client's user file (the shim's entry in, servers that are now behind it out) and, where
servers are moved, one of each other file of the client that holds such servers. `undoing.py` takes it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as replaced
from datetime import datetime
from pathlib import Path

from shim.clients.changing import Change, changed, connecting, document_of, element, entry_place, value_at
from shim.clients.client import ENTRY, Client, Entry, Machine
from shim.clients.errors import Uneditable, Unreadable
from shim.clients.places import origins
from shim.clients.reading import read_bytes
from shim.clients.replacing import Changed, back_up, note, replace, stamp_for
from shim.clients.server import Origin, Server, Unusable

ATTEMPTS = 3

Fronted = Callable[[Server], bool]
"""Whether the shim's configuration stands for a server."""


class LeftAlone(Exception):
    """A file that was not changed; `str()` names it and says why."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(f"{file} is left alone: {why}")


@dataclass(frozen=True, slots=True)
class Connected:
    """What connecting did. `backups` are the files that were written beside; none: nothing was changed.

    `moved` are the servers that were taken out, `around` what else it has in use, unusable entries too.
    `alone` says of each other file of the client why it was not changed.
    """

    file: Path
    backups: tuple[Path, ...] = ()
    moved: tuple[Server, ...] = ()
    around: tuple[Server | Unusable, ...] = ()
    alone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """What one file holds, and what it shall hold; None: no file."""

    origin: Origin
    before: bytes | None
    after: bytes | None
    moved: tuple[Server, ...] = ()


def connect(
    client: Client, machine: Machine, entry: Entry, now: datetime, *, fronted: Fronted, moving: bool
) -> Connected:
    """Put the shim's entry into the client's user file and, `moving`, take out what the shim stands for.

    Raises LeftAlone when the user file cannot be read or changed; then no file was changed.
    """
    for _ in range(ATTEMPTS):
        edits, around, alone = _plan(client, machine, entry, fronted, moving)
        file = client.user_file(machine)
        if all(edit.before == edit.after for edit in edits):
            return Connected(file, around=around, alone=alone)
        # The user file is backed up even where only another one changes: its backups say what was done together.
        edits = [edit for edit in edits if edit.before != edit.after or edit.origin.file == file]
        try:
            kept = apply(edits, now)
        except Changed:
            continue
        moved = tuple(server for edit in edits for server in edit.moved)
        return Connected(file, kept, moved, around, alone)
    raise LeftAlone(client.user_file(machine), "it is being changed by somebody else; close the client and try again")


def _plan(
    client: Client, machine: Machine, entry: Entry, fronted: Fronted, moving: bool
) -> tuple[list[Edit], tuple[Server | Unusable, ...], tuple[str, ...]]:
    edits: list[Edit] = []
    around: list[Server | Unusable] = []
    alone: list[str] = []
    user, *others = origins(client, machine)
    for origin in (user, *others):
        try:
            before = read_bytes(origin.file)
            if before is None and origin is not user:
                continue
            found = entries_in(client, before, origin, machine)
            used = [one for one in found if not (isinstance(one, Server) and one.disabled)]
            moved = tuple(one for one in used if moving and isinstance(one, Server) and fronted(one))
            edits.append(Edit(origin, before, _after(client, before, moved, entry if origin is user else None), moved))
        except (Unreadable, Uneditable) as error:
            refusal = LeftAlone(origin.file, str(error))
            if origin is user:
                raise refusal from None
            alone.append(str(refusal))
            continue
        around += [one for one in used if one not in moved]
    return edits, tuple(around), tuple(alone)


def entries_in(client: Client, content: bytes | None, origin: Origin, machine: Machine) -> list[Server | Unusable]:
    """What one file holds but for the shim under any name, also what cannot be used. Raises Unreadable."""
    found = client.read(document_of(client, content), origin, _opened(machine, origin))
    return [one for one in found if one.name not in (None, ENTRY) and not _is_shim(one)]


def entry_in(client: Client, content: bytes | None, origin: Origin, machine: Machine) -> Server | None:
    """The shim's entry in one file, as the client reads it. Raises Unreadable."""
    found = client.read(document_of(client, content), origin, _opened(machine, origin))
    return next((one for one in found if one.name == ENTRY and isinstance(one, Server)), None)


def configuration_of(entry: Server, machine: Machine) -> Path | None:
    """The configuration that an entry of the shim starts it with; None: it says none, or reaches a server."""
    named = option(entry.command or (), "--config")
    return machine.folder / named if named is not None else None


def option(command: Sequence[str], name: str) -> str | None:
    """What a command line gives an option, in either spelling."""
    for at, word in enumerate(command):
        if word == name and at + 1 < len(command):
            return command[at + 1]
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return None


def _opened(machine: Machine, origin: Origin) -> Machine:
    # In the folder whose file it is.
    return machine if origin.folder is None else replaced(machine, folder=origin.folder)


def _is_shim(one: Server | Unusable) -> bool:
    return isinstance(one, Server) and one.command is not None and Path(one.command[0]).name == ENTRY


def servers_in(client: Client, content: bytes | None, origin: Origin, machine: Machine) -> list[Server]:
    """The servers of one file but for the shim. Raises Unreadable."""
    return [one for one in entries_in(client, content, origin, machine) if isinstance(one, Server)]


def _after(client: Client, before: bytes | None, moved: Sequence[Server], entry: Entry | None) -> bytes | None:
    places = [server.path for server in moved]
    if entry is None:
        return changed(client, before, Change(take=places)) if places else before
    document = document_of(client, before)
    same = value_at(document, entry_place(client)) == entry.value and (
        entry.extra is None or element(document, entry.extra) == entry.extra.value
    )
    # An entry that says the same in another spelling stays as it is.
    if same:
        return changed(client, before, Change(take=places)) if places else before
    return changed(client, before, connecting(entry, client, places))


def apply(edits: Sequence[Edit], now: datetime | None) -> tuple[Path, ...]:
    """Make changes that were thought out on what the files held; with `now`, keep that first, and say where.

    Raises Changed when one of them holds something else by now, LeftAlone when one cannot be written. What was changed
    by then stays so.
    """
    kept: list[Path] = []
    notes: list[Path] = []
    done = 0
    try:
        if now is not None:
            files = [edit.origin.file for edit in edits]
            stamp = stamp_for(files, now)
            for edit in edits:
                with _naming(edit.origin.file):
                    kept.append(back_up(edit.origin.file, edit.before, stamp))
            if len(files) > 1:
                with _naming(files[0]):
                    notes.append(note(files[0], stamp, files[1:]))
        for edit in edits:
            if edit.before != edit.after:
                with _naming(edit.origin.file):
                    replace(edit.origin.file, edit.before, edit.after)
            done += 1
    finally:
        # A backup of a file that was not changed after all would tell of a change that never was.
        for path in (*kept[done:], *(notes if not done else ())):
            path.unlink(missing_ok=True)
    return tuple(kept)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    try:
        yield
    except Uneditable as error:
        raise LeftAlone(file, str(error)) from None
