"""Each client's files: whether it is connected to this configuration, and which of its servers bypass the shim."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shim.cli.checkup.checks import Check, Section, counted
from shim.cli.options import DEFAULT_CONFIG
from shim.clients import temporaries
from shim.clients.client import ENTRY, TOKEN, Machine
from shim.clients.connection import option
from shim.clients.matching import fronting
from shim.clients.registry import CLIENTS, find, read_file
from shim.clients.server import ClientName, Found, Server, Unusable

if TYPE_CHECKING:
    from shim.config.configuration import Configuration

_MOST = 8
"""Names that one line lists; the rest are counted."""

_LONGEST = 80
"""Characters of what a client's file says that are repeated."""

_say = Section("clients")


def checks(configuration: Configuration | None, machine: Machine) -> Iterator[Check]:
    """All lines of the section; with no configuration, only what there is. The files are read and not touched."""
    found = _found(machine)
    here = dict.fromkeys(origin.client for origin in found.files)
    broken = {unusable.origin.client for unusable in found.unusable}
    for client in here:
        servers = [server for server in found.servers if server.origin.client == client]
        if not servers and client in broken:
            continue
        if configuration is None:
            yield _seen(client, servers)
        else:
            yield from _client(configuration, machine, client, servers)
    for unusable in found.unusable:
        yield _unusable(unusable)
    if missing := [name for name in CLIENTS if name not in here]:
        yield _say.info("not found", f"no file of {', '.join(missing)}")
    yield from _left(machine, found)


def _found(machine: Machine) -> Found:
    home, folder, environ, system = machine.home, machine.folder, machine.environ, machine.system
    parts = [find(None, home=home, folder=folder, environ=environ, system=system)]
    looked = {os.path.realpath(origin.file) for origin in parts[0].files}
    for path in machine.named:
        if (real := os.path.realpath(path)) not in looked:
            looked.add(real)
            parts.append(read_file(path, home=home, folder=folder, environ=environ, system=system))
    return Found(
        tuple(server for part in parts for server in part.servers),
        tuple(unusable for part in parts for unusable in part.unusable),
        tuple(origin for part in parts for origin in part.files),
    )


def _left(machine: Machine, found: Found) -> Iterator[Check]:
    places = [origin.file for client in CLIENTS.values() for origin in client.files(machine)]
    for file in dict.fromkeys([*places, *(origin.file for origin in found.files)]):
        for path in temporaries.leftovers(file):
            text = f"{path} is what a run that was killed left beside {file.name}; it may hold keys that stood there"
            yield _say.warning("left over", text, f"rm {shlex.quote(str(path))}")


def _seen(client: ClientName, servers: Sequence[Server]) -> Check:
    ours = sum(_is_entry(server) for server in servers)
    text = counted(len(servers) - ours, "server") + (", and an entry of the shim" if ours else "")
    return _say.info(client, text, f"mcp-shim init --from {client}" if len(servers) > ours else None)


def _unusable(unusable: Unusable) -> Check:
    what = f"{unusable.origin.file}" + (f": {unusable.name}" if unusable.name is not None else "")
    remedy = f"mend it: nobody can tell whether it bypasses the shim: {shlex.quote(str(unusable.origin.file))}"
    return _say.warning(unusable.origin.client, f"{what}: {unusable.why}", remedy)


def _client(
    configuration: Configuration, machine: Machine, client: ClientName, servers: Sequence[Server]
) -> Iterator[Check]:
    url = configuration.url
    entries = [_entry(configuration, machine, server) for server in servers if _is_entry(server, url)]
    around = [server for server in servers if not _is_entry(server, url) and not server.disabled]
    for entry in entries:
        if entry.wrong is not None:
            yield _say.error(client, entry.wrong, _connect(configuration, client, entry))
    good = [entry for entry in entries if entry.wrong is None]
    if not entries:
        yield _say.info(
            client,
            f"not connected; it has {counted(len(around), 'server')} of its own",
            _connect(configuration, client),
        )
    elif good and around:
        said, remedy = _bypassing(configuration, machine, client, around, good[0])
        yield _say.warning(client, f"{good[0].said}; {said}", remedy)
    elif good:
        yield _say.ok(client, f"governed: {good[0].said}; nothing in its own files or this folder's bypasses the shim")


def _bypassing(
    configuration: Configuration, machine: Machine, client: ClientName, around: Sequence[Server], entry: _Entry
) -> tuple[str, str]:
    names: list[str] = []
    fronted: list[Server] = []
    for server in around:
        upstream = fronting(server, configuration.upstreams, environ=machine.environ, folder=machine.folder)
        if upstream is not None:
            fronted.append(server)
        names.append(
            f"{server.name[:_LONGEST]} ({f'which is {upstream}, ' if upstream else ''}in {server.origin.file})"
        )
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    said = f"{counted(len(names), 'server')} bypassing the shim: {', '.join(names[:_MOST])}{more}"
    if fronted:
        places = dict.fromkeys(server.origin.file for server in fronted if server.origin.file in machine.named)
        named = "".join(f" --from {shlex.quote(str(place))}" for place in places)
        return said, f"{_connect(configuration, client, entry)} --replace{named}"
    return said, f"make upstreams of them (mcp-shim init --from {client} shows how), then connect with --replace"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of the shim in a client's file: what it is, or what is wrong with it."""

    identity: str | None
    said: str = ""
    wrong: str | None = None


def _is_entry(server: Server, url: str | None = None) -> bool:
    if server.name == ENTRY or (url is not None and server.url == url):
        return True
    return server.command is not None and Path(server.command[0]).name == "mcp-shim"


def _entry(configuration: Configuration, machine: Machine, server: Server) -> _Entry:
    if server.disabled:
        return _bad(server, "is switched off in the client")
    if server.url is None:
        return _stdio(configuration, machine, server)
    url = configuration.url
    if server.url != url:
        return _bad(server, f"leads to {server.url[:_LONGEST]}, this configuration is at {url}")
    return _Entry(None, f"connected over HTTP to {url}")


def _stdio(configuration: Configuration, machine: Machine, server: Server) -> _Entry:
    command = server.command or ("",)
    folder = Path(server.cwd or server.origin.folder or machine.folder)
    identity = option(command, "--identity")
    path = folder / (option(command, "--config") or server.env.get("MCP_SHIM_CONFIG") or DEFAULT_CONFIG)
    program = command[0] if "/" not in command[0] else str(folder / command[0])
    if shutil.which(program, path=server.env.get("PATH") or machine.environ.get("PATH")) is None:
        return _bad(server, f"starts {command[0][:_LONGEST]}, which is not there", identity)
    if os.path.realpath(path) != os.path.realpath(configuration.path):
        return _bad(server, f"uses another configuration: {str(path)[:_LONGEST]}", identity)
    block = configuration.identities.get(identity) if identity is not None else None
    if block is None:
        return _bad(server, f"names the identity {(identity or 'none')[:_LONGEST]}, which is not configured")
    if not block.local and TOKEN not in server.env:
        return _bad(server, f"acts as {identity}, which is not local, without a token")
    return _Entry(identity, f"connected as {identity} by {server.origin.file}")


def _bad(server: Server, why: str, identity: str | None = None) -> _Entry:
    return _Entry(identity, wrong=f"the entry {server.name[:_LONGEST]} in {server.origin.file} {why}")


def _connect(configuration: Configuration, client: ClientName, entry: _Entry | None = None) -> str:
    local = next((name for name, block in configuration.identities.items() if block.local), "NAME")
    identity = entry.identity if entry is not None and entry.identity in configuration.identities else local
    config = shlex.quote(str(configuration.path))
    return f"mcp-shim connect {client} --identity {identity} --config {config} --write"
