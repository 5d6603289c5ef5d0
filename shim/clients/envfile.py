"""`envFile` of VS Code and Cursor: a file of `NAME=value` lines from which a stdio server gets more variables.

Sources: code.visualstudio.com, "MCP configuration reference"; microsoft/vscode, `src/vs/base/common/envfile.ts`
(`export`, `:` as well as `=`, remarks, three kinds of quotes, `\\n` and `\\r` within double ones; nothing is put in for
`${…}`) and `src/vs/workbench/api/node/extHostMcpNode.ts` (the entry's own `env` wins, a null there takes a variable
away, and a file that cannot be read keeps the server from starting). Guides to servers for Cursor use `envFile` as
well; that it works there as in VS Code, which Cursor is made from, is an assumption.

Other than in VS Code, a private key between quotes may have several lines: read line by line, parts of it would be
taken for names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from shim.clients.client import Machine
from shim.clients.entries import editor_variables
from shim.clients.errors import Unreadable
from shim.clients.reading import BOM, decoded, read_bytes
from shim.clients.server import Server
from shim.config.faults import printable
from shim.model import Json, JsonObject

MEMBER = "envFile"
MOST = 64 * 1024
"""Bytes. What one server's environment may hold is less."""

_SET = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]{0,99})[ \t]*[=:][ \t]*", re.ASCII)
_PLACE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_QUOTES = "\"'`"


def with_file(server: Server, document: JsonObject, machine: Machine) -> Server:
    """A server of this document with the variables of its env file; what is missing of them is in `lacking`."""
    entry: Json = document
    for step in server.path:
        entry = entry.get(step) if isinstance(entry, dict) else None
    if server.command is None or not isinstance(entry, dict) or MEMBER not in server.unread:
        return server
    rest = tuple(name for name in server.unread if name != MEMBER)
    try:
        file = _place(entry[MEMBER], machine)
        variables = _read(file)
    except Unreadable as error:
        why = printable(f"the variables of its env file, {str(entry[MEMBER])[:200]}: {error}")
        return replace(server, unread=rest, lacking=why)
    own = entry.get("env")
    gone = {name for name, value in own.items() if value is None} if isinstance(own, dict) else set()
    env = {name: text for name, text in variables.items() if name not in gone}
    return replace(server, unread=rest, env={**env, **server.env}, env_file=file)


def _place(value: Json, machine: Machine) -> Path:
    if not isinstance(value, str):
        raise Unreadable("it is not named by a text")
    text = _PLACE.sub(lambda found: machine.environ.get(found[1], found[0]), editor_variables(machine)(value))
    if "${" in text:
        raise Unreadable("its place depends on what only the editor knows, or on a variable that is not set")
    return machine.home / text[2:] if text.startswith("~/") else machine.folder / text


def _read(file: Path) -> Mapping[str, str]:
    content = read_bytes(file)
    if content is None:
        raise Unreadable("there is no such file")
    if len(content) > MOST:
        raise Unreadable(f"it is larger than {MOST >> 10} KiB")
    return parsed(decoded(content))


def parsed(text: str) -> dict[str, str]:
    """The variables of a file's text; of two lines for one the last counts. Lines that set none say nothing.

    Raises Unreadable.
    """
    if "\0" in text:
        raise Unreadable("it holds a NUL character")
    text = text.removeprefix(BOM).replace("\r\n", "\n").replace("\r", "\n")
    variables: dict[str, str] = {}
    at = 0
    while at < len(text):
        end = _end_of_line(text, at)
        found = _SET.match(text, at, end)
        if found is not None:
            end = _end_of_value(text, found.end(), end)
            variables[found[1]] = _value(text[found.end() : end].strip())
        at = end + 1
    return variables


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)


def _end_of_value(text: str, at: int, end: int) -> int:
    """Where the line ends on which a value ends that begins here, on a line that ends at `end`. Raises Unreadable."""
    if "-----BEGIN" not in text[at:end] or "-----END" in text[at:end]:
        return end
    closing = _closing(text, at, len(text)) if text[at] in _QUOTES else -1
    if closing < 0:
        raise Unreadable("a private key in it has several lines, and is not between quotes")
    return _end_of_line(text, closing)


def _closing(text: str, at: int, end: int) -> int:
    """Where the quote that stands here is closed; -1: nowhere before the end."""
    place = text.find(text[at], at + 1, end)
    while place > 0 and text[place - 1] == "\\":
        place = text.find(text[at], place + 1, end)
    return place


def _value(text: str) -> str:
    text = _without_remark(text)
    if len(text) < 2 or text[0] not in _QUOTES or text[-1] != text[0]:
        return text
    inner = text[1:-1]
    return inner.replace("\\n", "\n").replace("\\r", "\r") if text[0] == '"' else inner


def _without_remark(text: str) -> str:
    at = 0
    while at < len(text):
        if text[at] == "#":
            return text[:at].rstrip()
        closing = _closing(text, at, len(text)) if text[at] in _QUOTES else at
        if closing < 0:
            return text
        at = closing + 1
    return text
