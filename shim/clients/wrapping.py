"""A command line that is no MCP server, as a program with one tool: a start, for its owner to go on from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from shim.clients import credentials, naming
from shim.clients.values import Inexpressible, Key, Text
from shim.model import Json, JsonObject
from shim.upstream.commandline import code
from shim.upstream.commandline.config import FOLDERS
from shim.upstream.commandline.finding import Found, NotFit, found
from shim.upstream.commandline.template import parsed

_SERVER: Final = re.compile(r"mcp|server|stdio", re.IGNORECASE)
_RUNNERS: Final = naming.RUNNERS | frozenset({"perl", "ruby", "php", "dotnet", "go", "cargo"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@][A-Za-z0-9_./:@-]{0,99}")
_NAME: Final = re.compile(r"[^A-Za-z0-9_]+")
_NO_VALUE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Wrapped:
    """`path`: where the program is looked for, if not in the usual places. `remark`: what its owner should know."""

    program: str
    path: tuple[str, ...]
    tool: str
    run: tuple[str, ...]
    inputs: Mapping[str, JsonObject]
    remark: str


def wrapped(words: Sequence[str], path: str) -> Wrapped | None:
    """None for what seems to be an MCP server, or is not there at all. Raises Inexpressible.

    `path` is the PATH that the program is looked for in. Nothing is started.
    """
    program = PurePath(words[0]).name
    if program in _RUNNERS or any(map(_SERVER.search, words)):
        return None
    where = shutil.which(words[0], path=path)
    if where is None:
        return None
    folder = str(Path(where).absolute().parent)
    folders = () if folder in FOLDERS else (folder,)
    try:
        there = found(program, folders or FOLDERS)
    except NotFit as error:
        raise Inexpressible(str(error)) from None
    texts = tuple((Text(word),) if word else () for word in words)
    if any(isinstance(part, Key) for word in credentials.in_words(texts, program) for part in word):
        raise Inexpressible(
            "a key stands in its words, where every user of this machine can read it while it runs; hand it over in "
            "`env` or `files`"
        )
    return _drafted(program, folders, words[1:], there)


def _drafted(program: str, path: tuple[str, ...], words: Sequence[str], there: Found) -> Wrapped:
    command = []
    for word in words:
        if word.startswith("-"):
            break
        command.append(word)
    run, inputs = _open(words[len(command) :], known=bool(command))
    run = [*map(_literal, command), *run]
    name = _NAME.sub("_", "_".join(command)).strip("_")[:64] or naming.upstream(program)
    remark = "Its values are inputs now, with yours as defaults. Make narrower what may be sent: docs/tools/program.md"
    if not inputs:
        remark = "It takes no arguments yet: nothing in it is surely a value. See docs/tools/program.md"
    if (why := code.fault(there.names, [parsed(one) for one in run], False)) is not None:
        run, inputs = [_literal(word) for word in words], {}
        remark = f"It takes no arguments yet: {why}. See docs/tools/program.md"
    return Wrapped(program, path, name, tuple(run), inputs, remark)


def _open(words: Sequence[str], *, known: bool) -> tuple[list[str], dict[str, JsonObject]]:
    """The words after the command, with places for what may be values.

    Where the command is not `known`, because options come first, any word that is none may be it, and stays.
    """
    run: list[str] = []
    inputs: dict[str, JsonObject] = {}
    called = "argument"
    for word in words:
        flag, equals, value = word.partition("=")
        if not word.startswith("-"):
            if not known or not _may_be_value(word):
                run.append(_literal(word))
                called = "argument"
                continue
            flag, value = "", word
        elif not equals or not _may_be_value(value):
            run.append(_literal(word))
            called = word.lstrip("-") or "argument"
            continue
        else:
            called = flag.lstrip("-")
        name = naming.distinct(_NAME.sub("_", called).strip("_")[:50] or "argument", inputs.__contains__, "_")
        run.append(f"{_literal(flag)}={{{name}}}" if flag else f"{{{name}}}")
        inputs[name] = _input(value)
        called = "argument"
    return run, inputs


def _may_be_value(text: str) -> bool:
    """Whether a call could send it, as a default has to be."""
    return len(text) <= _LONGEST and not _NO_VALUE.search(text)


def _input(value: str) -> JsonObject:
    if value.isascii() and value.isdigit() and len(value) < 16 and str(int(value)) == value:
        return {"type": "integer", "minimum": 0, "default": int(value)}
    bound: dict[str, Json] = {"pattern": _PLAIN.pattern} if _PLAIN.fullmatch(value) else {"maxLength": _LONGEST}
    return {"type": "string", **bound, "default": value}


def _literal(word: str) -> str:
    return word.replace("{", "{{").replace("}", "}}")
