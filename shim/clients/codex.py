"""Codex: `~/.codex/config.toml` and, in trusted projects, `.codex/config.toml`, tables `[mcp_servers.NAME]`.

Sources: openai/codex, `codex-rs/config/src/mcp_types.rs` (`RawMcpServerConfig`: `command args env env_vars cwd`, or
`url bearer_token_env_var http_headers env_http_headers`; `enabled`; never both kinds; `bearer_token` is refused) and
its configuration reference (`CODEX_HOME`). There are no variables in values: `env_vars` names what is passed on from
Codex's own environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from shim.clients.client import TOKEN, Entry, Machine
from shim.clients.entries import (
    Wrong,
    address_of,
    as_written,
    command_of,
    headers_of,
    is_off,
    mapping_of,
    text_of,
    unread,
    unusable,
    variables_of,
    wrong,
)
from shim.clients.server import ClientName, Origin, Server, Unusable
from shim.model import Json, JsonObject

_HTTP = frozenset({"url", "bearer_token_env_var", "http_headers", "env_http_headers"})
_STDIO = frozenset({"command", "args", "env", "env_vars", "cwd"})


class Codex:
    """One of `registry.CLIENTS`."""

    name: ClientName = "codex"
    title = "Codex"
    syntax: Literal["json", "toml"] = "toml"
    section: tuple[str, ...] = ("mcp_servers",)

    def user_file(self, machine: Machine) -> Path:
        return machine.configured("CODEX_HOME", machine.home / ".codex") / "config.toml"

    def project_file(self, machine: Machine) -> Path:
        return machine.folder / ".codex" / "config.toml"

    def files(self, machine: Machine) -> Sequence[Origin]:
        return (
            Origin(self.name, self.project_file(machine), "project", machine.folder),
            Origin(self.name, self.user_file(machine), "user"),
        )

    def read(self, document: JsonObject, origin: Origin, _machine: Machine) -> Iterator[Server | Unusable]:
        servers = document.get("mcp_servers")
        if servers is not None and not isinstance(servers, dict):
            yield Unusable(origin, None, "mcp_servers is not a table")
            return
        for name, value in (servers or {}).items():
            try:
                yield _server(name, value, origin)
            except Wrong as error:
                yield unusable(origin, name, str(error))

    def stdio(self, command: Sequence[str], _machine: Machine) -> Entry:
        return Entry({"command": command[0], "args": list(command[1:])})

    def http(self, url: str) -> Entry:
        return Entry({"url": url, "bearer_token_env_var": TOKEN})

    def token_hint(self) -> str:
        return f"Codex takes the token from the environment variable {TOKEN}"


def _server(name: str, value: Json, origin: Origin) -> Server:
    text_of(name, "its name")
    entry = mapping_of(value, "the entry")
    path = ("mcp_servers", name)
    if "command" in entry and "url" in entry:
        wrong("it has both a command and a url")
    if "url" in entry:
        return Server(
            name,
            origin,
            "http",
            url=address_of(entry["url"], as_written),
            headers=_headers(entry),
            disabled=is_off(entry),
            unread=unread(entry, set(_HTTP)),
            path=path,
        )
    if "command" not in entry:
        wrong("it has neither a command nor a url")
    cwd = entry.get("cwd")
    passed, elsewhere = _passed(entry)
    return Server(
        name,
        origin,
        "stdio",
        command=command_of(entry, as_written),
        env={**passed, **variables_of(entry, as_written)},
        cwd=text_of(cwd, "cwd") if cwd is not None else None,
        disabled=is_off(entry),
        unread=(*unread(entry, set(_STDIO)), *(("env_vars",) if elsewhere else ())),
        path=path,
    )


def _headers(entry: JsonObject) -> dict[str, str]:
    found = headers_of(entry.get("http_headers"), as_written)
    for name, variable in mapping_of(entry.get("env_http_headers") or {}, "env_http_headers").items():
        found[name] = f"${{env:{text_of(variable, 'a variable in env_http_headers')}}}"
    bearer = entry.get("bearer_token_env_var")
    if bearer is not None:
        found["Authorization"] = f"Bearer ${{env:{text_of(bearer, 'bearer_token_env_var')}}}"
    return found


def _passed(entry: JsonObject) -> tuple[dict[str, str], bool]:
    # What `env_vars` passes on, and whether some of it comes from another machine (`source = "remote"`).
    listed = entry.get("env_vars") or []
    if not isinstance(listed, list):
        wrong("env_vars is not a list")
    passed: dict[str, str] = {}
    elsewhere = False
    for element in listed:
        named = element.get("name") if isinstance(element, dict) else element
        name = text_of(named, "a name in env_vars")
        if isinstance(element, dict) and element.get("source") == "remote":
            elsewhere = True
        else:
            passed[name] = f"${{env:{name}}}"
    return passed, elsewhere
