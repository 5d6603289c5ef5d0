"""Editing TOML in place: one table `[SECTION.NAME]` is put at the end or taken out, the rest stays as it was.

Where the section is one inline table, `SECTION = {NAME = {…}}`, which no header may add to, that is what is edited.

tomlkit reads and writes styles, but it does not keep them through this edit: a table that it adds may end up between a
dotted key and its neighbours, and what it added leaves blank lines behind when it is taken out. So it serves for
writing the new table, and what is there already is only cut, between statements, never written again.

Texts here begin with no byte order mark, and are known to be sound (`reading.toml_document`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from shim.clients.errors import Uneditable
from shim.model import Json, JsonObject

# Never `)*+` around a look ahead or another group: Python before 3.11.5 takes that wrongly (gh-106052).
_SKIPPED = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']++|'(?!''))*'{3,5}"
    r'|"(?:\\.|[^"\\\n])*+"'
    r"|'[^'\n]*+'"
    r"|\#[^\n]*+|\n|[\[\]{}]|[^\"'\#\n\[\]{}]++",
    re.DOTALL,
)
_BLANK = re.compile(r"[ \t\r]*+(?:\#[^\n]*+)?(?:\n|\Z)")
_OPENED = re.compile(r"=[ \t]*+\{")
_PART = r"""(?:[A-Za-z0-9_-]++|"(?:\\.|[^"\\\n])*+"|'[^'\n]*+')"""
_KEY = re.compile(rf"[ \t]*+(\[?\[?)[ \t]*+({_PART}(?:[ \t]*+\.[ \t]*+{_PART})*)[ \t]*+")


@dataclass(frozen=True, slots=True)
class Statement:
    """A header or a key with its value: its whole path from the root, and the lines that it takes."""

    path: tuple[str, ...]
    start: int
    end: int
    is_header: bool


def statements(text: str) -> Iterator[Statement]:
    """All statements in order. Raises Uneditable for what is none."""
    at = 0
    section: tuple[str, ...] = ()
    while at < len(text):
        if (blank := _BLANK.match(text, at)) is not None and blank.end() > at:
            at = blank.end()
            continue
        found = _KEY.match(text, at)
        if found is None:
            raise Uneditable("it holds a line that is neither a table nor a key")
        path, end = _names(found[2]), _end(text, found.end() if not found[1] else at)
        if found[1]:
            section = path
        yield Statement(section if found[1] else section + path, at, end, bool(found[1]))
        at = end


def _names(key: str) -> tuple[str, ...]:
    value: Json = tomllib.loads(f"{key} = 0")
    names: list[str] = []
    while isinstance(value, dict):
        (name, value), *_ = value.items()
        names.append(name)
    return tuple(names)


def _end(text: str, at: int) -> int:
    depth = 0
    for token in _SKIPPED.finditer(text, at):
        if token[0] in ("[", "{"):
            depth += 1
        elif token[0] in ("]", "}"):
            depth -= 1
        elif token[0] == "\n" and depth == 0:
            return token.end()
    return len(text)


def put(text: str, section: str, name: str, value: JsonObject) -> str:
    """The text with the table of a server put in: in the place of one of that name, else at the end."""
    if (braces := _braces(text, section)) is not None:
        others = _others(text, braces, name)
        space = " " if others or text[braces[0]].isspace() else ""
        return _with_members(text, braces, [*others, space + _inline(name, value)])
    newline = "\r\n" if "\r\n" in text else "\n"
    spans = _spans(text, section, name)
    rest = _cut(text, spans)
    table = rendered(section, name, value).replace("\n", newline)
    if spans and all(is_header for *_, is_header in spans):
        place = spans[0][0]
        return rest[:place] + table + rest[place:]
    if rest and not rest.endswith("\n"):
        rest += newline
    if rest and not rest.endswith(newline * 2):
        rest += newline
    return rest + table


def take(text: str, section: str, name: str, like: str | None = None) -> str:
    """The text without the table of a server; `like` where that differs in nothing but its end."""
    if (braces := _braces(text, section)) is not None:
        rest = _with_members(text, braces, _others(text, braces, name))
    else:
        rest = _cut(text, _spans(text, section, name), blank=True)
    return like if like is not None and rest.rstrip() == like.rstrip() else rest


def rendered(section: str, name: str, value: JsonObject) -> str:
    """The table of one server as text. Raises Uneditable for a value that TOML does not have."""
    return _written({section: {name: value}}).rstrip("\n") + "\n"


def _written(document: JsonObject, *, inline: bool = False) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        if not inline:
            return tomlkit.dumps(document)
        table = tomlkit.inline_table()
        table.update(document)
        return table.as_string()
    except (TOMLKitError, ValueError, TypeError) as error:
        raise Uneditable(f"an entry cannot be written as TOML: {error}") from None


def _inline(name: str, value: JsonObject) -> str:
    return _written({name: value}, inline=True)[1:-1].strip()


def _braces(text: str, section: str) -> tuple[int, int] | None:
    # From behind `{` to `}`; None where the section is no inline table.
    for statement in statements(text):
        if statement.path != (section,) or statement.is_header:
            continue
        key = _KEY.match(text, statement.start)
        opened = _OPENED.match(text, key.end()) if key is not None else None
        return (opened.end(), _closed(text, opened.end())) if opened is not None else None
    return None


def _closed(text: str, at: int) -> int:
    depth = 1
    for token in _SKIPPED.finditer(text, at):
        depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
        if depth == 0:
            return token.start()
    raise Uneditable("it holds a table that does not end")


def _others(text: str, braces: tuple[int, int], name: str) -> list[str]:
    # The members of an inline table, as they stand between its commas, without those of this name.
    pieces, depth = [""], 0
    for token in _SKIPPED.finditer(text, *braces):
        depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
        first, *more = token[0].split(",") if depth == 0 and token[0][0] not in "\"'" else [token[0]]
        pieces[-1] += first
        pieces += more
    keys = [(piece, _KEY.match(piece)) for piece in pieces if piece.strip()]
    found = [piece for piece, key in keys if key is None or _names(key[2])[0] != name]
    return [*found[:-1], found[-1].rstrip()] if found else []


def _with_members(text: str, braces: tuple[int, int], members: list[str]) -> str:
    start, end = braces
    inside = text[start:end]
    # The blank before `}` stays there, whoever is the last.
    blank = inside[len(inside.rstrip()) :]
    return text[:start] + ",".join(members) + blank + text[end:]


def _spans(text: str, section: str, name: str) -> list[tuple[int, int, bool]]:
    # A table's lines go from its header to its last key; what comments follow belongs to whatever comes next.
    spans: list[tuple[int, int, bool]] = []
    within = False
    for statement in statements(text):
        is_its = statement.path[:2] == (section, name)
        if statement.is_header:
            within = is_its
        joins = bool(spans) and spans[-1][2] and not text[spans[-1][1] : statement.start].strip()
        if is_its and within and (joins or not statement.is_header):
            spans[-1] = (spans[-1][0], statement.end, True)
        elif is_its:
            spans.append((statement.start, statement.end, statement.is_header))
    return spans


def _cut(text: str, spans: list[tuple[int, int, bool]], *, blank: bool = False) -> str:
    for start, end, is_header in reversed(spans):
        before = text[:start]
        if blank and is_header and (not text[end:] or text[end:].lstrip(" \t\r").startswith("\n")):
            # The blank line that set the table off goes with it, unless another one is needed there.
            before = re.sub(r"(?<=\n)[ \t]*\r?\n\Z", "", before)
        text = before + text[end:]
    return text
