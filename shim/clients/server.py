"""One MCP server as a client's configuration has it, whichever client that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

ClientName: TypeAlias = Literal["claude-code", "claude-desktop", "cursor", "vscode", "codex", "gemini"]

Scope: TypeAlias = Literal["user", "project"]
"""A `user` file speaks for all that the user does with the client, a `project` file for one folder."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a server stands: the client, the file as it was found, and for whom that file speaks.

    `folder` is where the client would start the server: the project of a project file, else None (it depends).
    """

    client: ClientName
    file: Path
    scope: Scope
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A server that a client starts (`command`) or reaches (`url`): exactly one of both is set.

    All text is as it was written, save that the client's own ways to name an environment variable have become
    `${env:NAME}` (or `${env:NAME:-default}`) and its ways to ask the person have become `${input:ID}`; literal text
    that looks like either is not told apart from it. `secret_inputs` are those IDs that the client treats as passwords.
    `transport` is what the client would speak; `sse` is the one of 2024-11-05, which the shim's upstreams do not speak.
    `disabled`: the client knows it and does not use it. `unread` names members that mean something to the client and
    are not carried here, so that whoever takes the server over can say so. `env_file` is the file from which some of
    `env` comes; `lacking` says, in a line for a person, what the client gives the server that is not here, and why (""
    where all is). `path` leads to the entry from the root of its file: `("mcpServers", "git")`.
    """

    name: str
    origin: Origin
    transport: Literal["stdio", "http", "sse"]
    command: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_inputs: frozenset[str] = frozenset()
    disabled: bool = False
    unread: tuple[str, ...] = ()
    env_file: Path | None = None
    lacking: str = ""
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unusable:
    """An entry, or a whole file (`name` None), that cannot be read; `why` is one line for a person, safe to show."""

    origin: Origin
    name: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the files of one or more clients hold, in the order in which the clients would read them."""

    servers: tuple[Server, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    files: tuple[Origin, ...] = ()
    """Every file that exists, also where it holds no server."""
