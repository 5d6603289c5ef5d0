"""Undoing the connection of a client, with no memory but the backups.

The backups of a file are its states before each change. Where making the same changes again gives exactly the states
that came after, nobody else has touched it, and the oldest of them is put back byte for byte. Else what was changed
since stays: the entry is taken out, and the servers that were moved are put back beside the rest.

Backups of a file that is byte for byte the oldest of them again hold nothing but what it holds, keys above all; so they
go. They go last: a process that ends before that leaves what the next run takes up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from pathlib import Path

from shim.clients.changing import Change, Place, changed, connecting, document_of, element, entry_place, value_at
from shim.clients.client import Client, Entry, Extra, Machine
from shim.clients.connection import ATTEMPTS, Edit, Fronted, LeftAlone, apply, entry_in, servers_in
from shim.clients.errors import Uneditable, Unreadable
from shim.clients.places import origins
from shim.clients.reading import decoded, read_bytes
from shim.clients.replacing import Backup, Changed, backups, discard, noted
from shim.clients.server import Origin, Server
from shim.model import JsonObject


@dataclass(frozen=True, slots=True)
class Undone:
    """What undoing did: which files it changed, and whether all are byte for byte as they were before (`exact`).

    `backup`: there was one to go by. `back` are the servers that were put back. `lost` stood there before, stand there
    no more, and were not put back, because the shim's configuration does not stand for them: it cannot have been the
    shim that moved them. `alone` says of a file why it was not changed. `removed` are backups that no longer were of
    use, `kept` those that still are. `elsewhere` was changed together with the user file and is not put back, since it
    is none of the files that were looked at.
    """

    files: tuple[Path, ...] = ()
    exact: bool = True
    backup: bool = True
    back: tuple[Server, ...] = ()
    lost: tuple[Server, ...] = ()
    alone: tuple[str, ...] = ()
    removed: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    elsewhere: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """How one file goes back, by which of its backups."""

    edit: Edit
    chain: Sequence[Backup]
    exact: bool
    back: tuple[Server, ...] = ()
    lost: tuple[Server, ...] = ()


def entries(client: Client, machine: Machine) -> tuple[Server, ...]:
    """The shim's entries that the client has and had since it was connected, as it reads them.

    Raises LeftAlone when the user file, or a backup, cannot be read.
    """
    user = origins(client, machine)[0]
    try:
        states = [backup.content() for backup in _chain(client, user.file)]
        found = [entry_in(client, state, user, machine) for state in (*states, read_bytes(user.file))]
    except Unreadable as error:
        raise LeftAlone(user.file, str(error)) from None
    return tuple(entry for entry in found if entry is not None)


def undo(client: Client, machine: Machine, *, fronted: Fronted) -> Undone | None:
    """Take the shim's entry out of the client's user file, and put everything back; None: there is nothing to undo.

    Where the entry is gone already, files of this folder's project are put back all the same: undoing the connection
    from the folder of another project left them as they were.

    Raises LeftAlone when the user file cannot be read or changed.
    """
    user, *others = origins(client, machine)
    for _ in range(ATTEMPTS):
        try:
            now = read_bytes(user.file)
            is_there = value_at(document_of(client, now), entry_place(client)) is not None
            chain = _chain(client, user.file)
            if is_there:
                steps = [_step(client, machine, user, now, chain, fronted)]
            else:
                steps = [_Step(Edit(user, now, now), chain, exact=True)]
        except (Unreadable, Uneditable) as error:
            raise LeftAlone(user.file, str(error)) from None
        alone: list[str] = []
        for origin in others:
            if is_there or chain:
                try:
                    steps += _other(client, machine, origin, chain, fronted)
                except (Unreadable, Uneditable) as error:
                    alone.append(str(LeftAlone(origin.file, str(error))))
        try:
            apply([step.edit for step in reversed(steps)], None)
        except Changed:
            continue
        files = tuple(step.edit.origin.file for step in steps if step.edit.before != step.edit.after)
        removed, elsewhere = _clear(client, machine, steps, [other.file for other in others])
        if not (is_there or files or alone or removed):
            return None
        return Undone(
            files=files,
            exact=not alone and all(step.exact for step in steps),
            backup=bool(chain),
            back=tuple(server for step in steps for server in step.back),
            lost=tuple(server for step in steps for server in step.lost),
            alone=tuple(alone),
            removed=removed,
            kept=tuple(one.path for step in steps for one in step.chain if one.path not in removed),
            elsewhere=elsewhere,
        )
    raise LeftAlone(user.file, "it is being changed by somebody else; close the client and try again")


def _chain(client: Client, file: Path) -> list[Backup]:
    """The backups since the client was connected, the oldest first: that is the one without the shim's entry.

    Where every one has an entry, all of them: then an entry of this name was there before the first.
    """
    chain: list[Backup] = []
    for backup in backups(file):
        chain.append(backup)
        if value_at(_kept(client, backup), entry_place(client)) is None:
            break
    return chain[::-1]


def _kept(client: Client, backup: Backup) -> JsonObject:
    try:
        return document_of(client, backup.content())
    except Unreadable as error:
        raise Unreadable(f"its backup {backup.path.name} cannot be used, move it away to do without: {error}") from None


def _other(client: Client, machine: Machine, origin: Origin, chain: Sequence[Backup], fronted: Fronted) -> list[_Step]:
    """How another file of the client goes back; nothing where it was not changed together with the user file."""
    stamps = {backup.stamp for backup in chain}
    kept = backups(origin.file)
    # Without those of the user file nothing says how far to go back.
    own = [backup for backup in reversed(kept) if backup.stamp in stamps] if stamps else kept[:1]
    for backup in own:
        _kept(client, backup)
    return [_step(client, machine, origin, read_bytes(origin.file), own, fronted)] if own else []


def _step(
    client: Client, machine: Machine, origin: Origin, now: bytes | None, chain: Sequence[Backup], fronted: Fronted
) -> _Step:
    states = [backup.content() for backup in chain]
    missing = _missing(client, machine, origin, states, now)
    if states and _replays(client, machine, origin, [*states, now]):
        return _Step(Edit(origin, now, states[0]), chain, True, tuple(server for server, _ in missing))
    if now is None:
        return _Step(Edit(origin, now, now), chain, False, lost=tuple(server for server, _ in missing))
    back = [(server, value) for server, value in missing if fronted(server)]
    base = states[0] if states else None
    put = {server.path: value for server, value in back}
    after: bytes | None = changed(client, now, _change(client, origin, base, now, put, bool(states)))
    if base is None and states and not (after or b"").strip():
        after = None
    lost = tuple(server for server, _ in missing if server.path not in put)
    return _Step(Edit(origin, now, after), chain, False, tuple(server for server, _ in back), lost)


def _missing(
    client: Client, machine: Machine, origin: Origin, states: Sequence[bytes | None], now: bytes | None
) -> list[tuple[Server, JsonObject]]:
    """The servers that one of the states has and the file has not, as the newest state that has them wrote them.

    Not only the first: who connects again moves what has been added since.
    """
    present, missing = document_of(client, now), dict[Place, tuple[Server, JsonObject]]()
    for state in states:
        document = document_of(client, state)
        for server in servers_in(client, state, origin, machine):
            value = value_at(document, server.path)
            if value_at(present, server.path) is None and isinstance(value, dict):
                missing[server.path] = server, value
    return list(missing.values())


def _replays(client: Client, machine: Machine, origin: Origin, states: Sequence[bytes | None]) -> bool:
    """Whether each state is exactly what connecting makes of the one before."""
    try:
        return all(
            after is not None and _made(client, machine, origin, before, after) == after
            for before, after in pairwise(states)
        )
    except (Unreadable, Uneditable):
        return False


def _made(client: Client, machine: Machine, origin: Origin, before: bytes | None, after: bytes) -> bytes | None:
    moved = [server.path for server, _ in _missing(client, machine, origin, [before], after)]
    entry, present = _entry(client, document_of(client, after)), _entry(client, document_of(client, before))
    if entry is None or entry == present:
        return changed(client, before, Change(take=moved)) if moved else before
    return changed(client, before, connecting(entry, client, moved))


def _clear(
    client: Client, machine: Machine, steps: Sequence[_Step], here: Sequence[Path]
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Remove the backups that are of no more use; those, and the files of elsewhere that still need the user file's.

    Another file goes back by those of its backups that have the time of one of the user file's, so these go last.
    """
    user, *others = steps
    removed = [path for step in others for path in _cleared(client, machine, step)]
    stamps = {backup.stamp for backup in user.chain}
    is_needed = any(backup.stamp in stamps for file in here for backup in backups(file))
    elsewhere: dict[Path, None] = {}
    try:
        for stamp in stamps:
            listed = (file for file in noted(user.edit.origin.file, stamp) if file not in here)
            elsewhere |= {file: None for file in listed if _needs(file, stamp)}
    except Unreadable:
        # Who else needs them cannot be known.
        is_needed = True
    if not is_needed and not elsewhere:
        removed += _cleared(client, machine, user)
    return tuple(removed), tuple(sorted(elsewhere))


def _needs(file: Path, stamp: str) -> bool:
    # A folder that is not there now may be on a disk that comes back.
    return not file.parent.is_dir() or any(backup.stamp == stamp for backup in backups(file))


def _cleared(client: Client, machine: Machine, step: _Step) -> list[Path]:
    origin, states = step.edit.origin, list[bytes | None]()
    try:
        states = [backup.content() for backup in step.chain]
        is_restored = bool(states) and read_bytes(origin.file) == step.edit.after == states[0]
        # An entry of this name that was there before would be taken for the shim's the next time.
        is_user = origin.scope == "user"
        if not is_restored or (is_user and value_at(document_of(client, states[0]), entry_place(client)) is not None):
            return []
    except Unreadable:
        return []
    if not _replays(client, machine, origin, states):
        return []
    # The newest first, up to one that has to stay: what is left goes back as far as before.
    kept = reversed(list(zip(step.chain, states, strict=True)))
    return [backup.path for backup, _ in takewhile(lambda one: discard(origin.file, *one), kept)]


def _entry(client: Client, document: JsonObject) -> Entry | None:
    value = value_at(document, entry_place(client))
    if not isinstance(value, dict):
        return None
    extra = _extra(client)
    found = element(document, extra) if extra is not None else None
    return Entry(value, replace(extra, value=found) if extra is not None and found is not None else None)


def _extra(client: Client) -> Extra | None:
    by_http = client.http("http://127.0.0.1/mcp")
    return by_http.extra if by_http is not None else None


def _change(
    client: Client, origin: Origin, base: bytes | None, now: bytes, back: Mapping[Place, JsonObject], known: bool
) -> Change:
    before, document, put = document_of(client, base), document_of(client, now), dict(back)
    like = decoded(base or b"") if known else None
    if value_at(document, entry_place(client)) is None or origin.scope == "project":
        return Change(put, like=like)
    earlier, extra = _entry(client, before), _extra(client)
    if earlier is not None:
        put[entry_place(client)] = earlier.value
        return Change(put, extras=[earlier.extra] if earlier.extra is not None else [], like=like)
    brought = [extra] if extra is not None and element(document, extra) is not None else []
    return Change(put, [entry_place(client)], without=brought, like=like)
