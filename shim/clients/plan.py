"""What is to become of the servers that were found: upstreams, secrets, and what is left out and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shim.clients.wrapping import Wrapped


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands, for people: `Claude Code`, `~/.claude.json`, the name that it has there."""

    client: str
    file: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        return ", ".join([self.client, *(part for part in (self.file, self.name) if part is not None)])


@dataclass(frozen=True, slots=True)
class Adopted:
    """A server as an upstream. All values are as the configuration writes them, placeholders included.

    `secrets` are those that it needs. `needs` says what a person has to do before it is up, one line each. `missing`
    says what has to be done before it can even stand in a configuration; None: nothing. `wrapped`: what a
    program is that is no server.
    """

    name: str
    places: tuple[Place, ...]
    command: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    missing: str | None = None
    wrapped: Wrapped | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A server that was found and is no upstream; `why` is one line, and may hold text of the file's."""

    place: Place
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that was found. `secrets` holds the keys to keep, `awaited` names secrets that somebody has to give.

    `variables` has the names of environment variables by the names of the secrets that they are.
    """

    upstreams: tuple[Adopted, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    awaited: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def source(self, name: str, kept: Callable[[str], Mapping[str, str]]) -> Mapping[str, str]:
        """The block of a secret in the configuration; `kept` gives those of what is kept for the shim."""
        if name in self.variables:
            return {"source": "env", "name": self.variables[name]}
        return kept(name)
