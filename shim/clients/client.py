"""What every client is to the rest: where its files lie, how they are read, and what an entry looks like there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from shim.clients.server import ClientName, Origin, Server, Unusable
from shim.model import JsonObject

ENTRY = "mcp-shim"
"""The name of the shim's entry in a client's file."""

TOKEN = "MCP_SHIM_TOKEN"
"""The environment variable from which a client takes the shim's token."""

System: TypeAlias = Literal["linux", "darwin"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a client would run: the person's home, the folder it is opened in, its environment, the system.

    `named` are files to look at besides those that the client finds by itself.
    """

    home: Path
    folder: Path
    environ: Mapping[str, str]
    system: System
    named: tuple[Path, ...] = ()

    def configured(self, variable: str, default: Path) -> Path:
        """The folder that an environment variable names, if it does; a relative one counts from the folder."""
        value = self.environ.get(variable)
        return self.folder / value if value else default

    @property
    def applications(self) -> Path:
        """Where graphical applications keep their configuration."""
        if self.system == "darwin":
            return self.home / "Library" / "Application Support"
        return self.configured("XDG_CONFIG_HOME", self.home / ".config")


@dataclass(frozen=True, slots=True)
class Extra:
    """An element that an entry needs in an array elsewhere in its file; `id` tells it from others there."""

    path: tuple[str, ...]
    id: str
    value: JsonObject


@dataclass(frozen=True, slots=True)
class Entry:
    """One server as a client's file has it."""

    value: JsonObject
    extra: Extra | None = None


class Client(Protocol):
    """One client. All are in `registry.CLIENTS`."""

    name: ClientName
    title: str
    syntax: Literal["json", "toml"]
    section: tuple[str, ...]
    """Where in its files the servers are that `connect` writes."""

    def user_file(self, machine: Machine, /) -> Path:
        """The file that speaks for all that the user does, whether it exists or not."""

    def project_file(self, machine: Machine, /) -> Path | None:
        """The file that speaks for the folder alone; None: the client has none."""

    def files(self, machine: Machine, /) -> Sequence[Origin]:
        """All files where its servers may stand, in the order in which it would take them."""

    def read(self, document: JsonObject, origin: Origin, machine: Machine, /) -> Iterator[Server | Unusable]:
        """The servers of one file; what cannot be read is there as `Unusable`."""

    def stdio(self, command: Sequence[str], machine: Machine, /) -> Entry:
        """An entry that starts the shim."""

    def http(self, url: str, /) -> Entry | None:
        """An entry that reaches the shim, with the token by the client's own means; None: it has no such means."""

    def token_hint(self) -> str:
        """Where the client takes the token of an HTTP entry from: a sentence for people."""
