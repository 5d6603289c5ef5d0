"""Reading one server's entry: the shape that most clients share, and the variables that they replace in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from shim.clients.client import Machine
from shim.clients.server import Origin, Server, Unusable
from shim.config.faults import printable
from shim.model import Json, JsonObject

Expand = Callable[[str], str]

_SHELL = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}", re.ASCII)
_DOLLAR = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\})", re.ASCII)
_PLACE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_EDITOR = re.compile(r"\$\{(userHome|workspaceFolder|workspaceRoot|workspaceFolderBasename|cwd|pathSeparator|/)\}")
_SURROGATE = re.compile("[\ud800-\udfff]")

_SILENT = frozenset({"type", "transport", "description", "name", "disabled", "enabled", "gallery", "version"})
"""Members that say nothing that would be lost."""


class Wrong(Exception):
    """Why one entry cannot be read."""


def wrong(why: str) -> NoReturn:
    """End the reading of one entry."""
    raise Wrong(why)


def unusable(origin: Origin, name: str | None, why: str) -> Unusable:
    """What cannot be used; `why` may hold what the file holds."""
    return Unusable(origin, name, printable(why))


def shell_variables(text: str) -> str:
    """`${NAME}` and `${NAME:-default}`, as Claude Code has them."""
    return _SHELL.sub(r"${env:\1\2}", text)


def dollar_variables(text: str) -> str:
    """As `shell_variables`, and also `$NAME`, as Gemini CLI has them."""
    return _DOLLAR.sub(lambda found: f"${{env:{found[1] or found[2]}{found[3] or ''}}}", text)


def editor_variables(machine: Machine) -> Expand:
    """The variables of VS Code and Cursor: folders are filled in, `${env:NAME}` and `${input:ID}` stay as they are."""
    values = {
        "userHome": str(machine.home),
        "workspaceFolder": str(machine.folder),
        "workspaceRoot": str(machine.folder),
        "workspaceFolderBasename": machine.folder.name,
        "cwd": str(machine.folder),
        "pathSeparator": "/",
        "/": "/",
    }
    return lambda text: _EDITOR.sub(lambda found: values[found[1]], text)


def as_written(text: str) -> str:
    """No variables at all."""
    return text


@dataclass(frozen=True, slots=True)
class Shape:
    """How one client writes an entry: its variables, and whether a `url` counts where there is a `command` too.

    `environ` is the environment of a client that leaves a variable as it stands where that is not set: what stands in
    the arguments then is for the server, which finds it in its own `env`. None: the client puts in nothing.
    """

    expand: Expand
    url_first: bool = False
    environ: Mapping[str, str] | None = None

    def argument(self, text: str, own: Mapping[str, str]) -> str:
        """A word of a command line; `own` is what the entry gives its server as environment."""
        known = self.environ
        if known is None:
            return text
        return _PLACE.sub(lambda at: f"${{{at[1]}}}" if at[1] in own and not known.get(at[1]) else at[0], text)


def text_of(value: Json, what: str) -> str:
    """A value that must be text that a program or a header can carry. Raises Wrong."""
    if not isinstance(value, str):
        wrong(f"{what} is not text")
    if "\0" in value:
        wrong(f"{what} holds a NUL character")
    if _SURROGATE.search(value):
        wrong(f"{what} holds half of a character")
    return value


def texts_of(value: Json, what: str) -> Iterator[str]:
    """A list of texts. Raises Wrong."""
    if not isinstance(value, list):
        wrong(f"{what} is not a list")
    for element in value:
        yield text_of(element, f"an element of {what}")


def mapping_of(value: Json, what: str) -> JsonObject:
    """An object. Raises Wrong."""
    if not isinstance(value, dict):
        wrong(f"{what} is not an object")
    return value


def variables_of(entry: JsonObject, expand: Expand) -> dict[str, str]:
    """`env`: numbers count as their text, and a null takes a variable away, so there is nothing to carry."""
    found: dict[str, str] = {}
    for name, value in mapping_of(entry.get("env") or {}, "env").items():
        if value is None:
            continue
        shown = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        if "=" in text_of(name, "a name in env") or not name:
            wrong("a name in env is no name of a variable")
        found[name] = expand(text_of(shown, f"{name[:80]} in env"))
    return found


def headers_of(value: Json, expand: Expand) -> dict[str, str]:
    """Names and values of headers. Raises Wrong."""
    named = mapping_of(value or {}, "headers")
    return {
        text_of(name, "the name of a header"): expand(text_of(text, f"the header {name[:80]}"))
        for name, text in named.items()
    }


def is_off(entry: JsonObject) -> bool:
    """Whether an entry says itself that it is not to be used."""
    return entry.get("disabled") is True or entry.get("enabled") is False


def transport_of(entry: JsonObject, *, url_first: bool) -> Literal["stdio", "http", "sse"]:
    """What the client would speak. Raises Wrong."""
    kind = entry.get("type", entry.get("transport"))
    if kind is not None:
        known: Mapping[str, Literal["stdio", "http", "sse"]] = {
            "stdio": "stdio",
            "local": "stdio",
            "http": "http",
            "streamable-http": "http",
            "streamableHttp": "http",
            "sse": "sse",
        }
        found = known.get(kind.strip()) if isinstance(kind, str) else None
        return found or wrong(f"its type {str(kind)[:40]!r} is none that the shim knows")
    has_url, has_command = "url" in entry, "command" in entry
    if has_url and has_command and not url_first:
        wrong("it has both a command and a url")
    if has_url:
        return "http"
    return "stdio" if has_command else wrong("it has neither a command nor a url")


def address_of(value: Json, expand: Expand) -> str:
    """A URL, or a text that becomes one when its variables are known. Raises Wrong."""
    url = expand(text_of(value, "url")).strip()
    if not url.startswith("${") and not url.lower().startswith(("http://", "https://")):
        wrong("its url is not one of http or https")
    return url


def server_of(name: str, value: Json, origin: Origin, path: tuple[str, ...], shape: Shape) -> Server | Unusable:
    """One entry of the shape that most clients share: `command args env cwd` or `url headers`, and `type`."""
    try:
        text_of(name, "its name")
        entry = mapping_of(value, "the entry")
        return _server(name, entry, origin, path, shape)
    except Wrong as error:
        return unusable(origin, name, str(error))


def _server(name: str, entry: JsonObject, origin: Origin, path: tuple[str, ...], shape: Shape) -> Server:
    expand = shape.expand
    transport = transport_of(entry, url_first=shape.url_first)
    if transport != "stdio":
        carried = {"url", "headers"}
        return Server(
            name,
            origin,
            transport,
            url=address_of(entry.get("url"), expand),
            headers=headers_of(entry.get("headers"), expand),
            disabled=is_off(entry),
            unread=unread(entry, carried),
            path=(*path, name),
        )
    cwd, env = entry.get("cwd"), variables_of(entry, expand)
    return Server(
        name,
        origin,
        transport,
        command=tuple(shape.argument(word, env) for word in command_of(entry, expand)),
        env=env,
        cwd=expand(text_of(cwd, "cwd")) if cwd is not None else None,
        disabled=is_off(entry),
        unread=unread(entry, {"command", "args", "env", "cwd"}),
        path=(*path, name),
    )


def command_of(entry: JsonObject, expand: Expand) -> tuple[str, ...]:
    """The program and its arguments. Raises Wrong."""
    program = expand(text_of(entry.get("command"), "command"))
    if not program.strip():
        wrong("its command is empty")
    return (program, *(expand(text) for text in texts_of(entry.get("args") or [], "args")))


def unread(entry: JsonObject, carried: set[str]) -> tuple[str, ...]:
    """The members of an entry that are not carried and do mean something."""
    return tuple(key for key, value in entry.items() if key not in carried | _SILENT and value not in (None, {}, []))


def servers_at(
    document: JsonObject, path: tuple[str, ...], origin: Origin, shape: Shape
) -> Iterator[Server | Unusable]:
    """All entries of the object at a path of a document; nothing where there is none."""
    value: Json = document
    for key in path:
        if not isinstance(value, dict):
            break
        value = value.get(key)
    if value is None:
        return
    if not isinstance(value, dict):
        yield unusable(origin, None, f"{'.'.join(path)} is not an object")
        return
    for name, entry in value.items():
        yield server_of(name, entry, origin, path, shape)


def names_in(value: Json) -> frozenset[str]:
    """The texts of a list; nothing where it is none."""
    return frozenset(text for text in value if isinstance(text, str)) if isinstance(value, list) else frozenset()
