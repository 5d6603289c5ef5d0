"""JSON with comments and trailing commas: making it strict without moving a character, and editing it in place.

Microsoft's editors call this JSONC; Gemini CLI accepts the same, and the strict files of the others are a special case.
An edit touches one member of one object (or element of one array) and leaves every other character where it was:
comments, odd spacing, line ends. No library for Python edits so; what would write the value again loses the rest.

Texts here begin with no byte order mark, and are known to be sound (`reading.json_document`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shim import jsontext
from shim.clients.errors import Uneditable
from shim.errors import InvalidText
from shim.model import Json

SPACE = " \t\r\n"

_STRING = r'"(?:[^"\\\r\n]++|\\.)*+"?'
_COMMENT = re.compile(rf"{_STRING}|//[^\r\n]*+|/\*(?s:.*?)\*/|/\*")
_COMMA = re.compile(rf"{_STRING}|[\[{{][ \t\r\n]*+,|,(?=[ \t\r\n]*+[}}\]])")
_SPACES = re.compile(r"[ \t\r\n]*+")
_NEWLINE = re.compile(r"\r?\n|\r")


def bare(text: str) -> str:
    """The text with comments blanked; what stays has its place. Raises InvalidText for one that does not end."""

    def blanked(found: re.Match[str]) -> str:
        token = found[0]
        if token.startswith('"'):
            return token
        if token == "/*":
            raise InvalidText(f"a comment does not end (character {found.start()})")
        return " " * len(token)

    return _COMMENT.sub(blanked, text)


def clean(text: str) -> str:
    """The text with comments and trailing commas blanked: strict JSON, if it is any; what stays has its place."""

    def blanked(found: re.Match[str]) -> str:
        token = found[0]
        if token.startswith('"'):
            return token
        if token != ",":
            raise InvalidText(f"a comma stands before any value (character {found.end() - 1})")
        return " "

    return _COMMA.sub(blanked, bare(text))


@dataclass(frozen=True, slots=True)
class Item:
    """A member of an object, or an element of an array: where it begins, where its value does, and where both end."""

    key: str | None
    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Box:
    """An object or array: where its brackets are, and what is between them."""

    open: int
    close: int
    items: tuple[Item, ...]

    def item(self, key: str | int) -> Item | None:
        """The member of this key, or the element at this position."""
        if isinstance(key, int):
            return self.items[key]
        return next((item for item in self.items if item.key == key), None)


class Sheet:
    """A text, with what is needed again and again of it: where its values are, and how it is laid out."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            # Most files are strict already, and a large one is found to be so a hundred times faster than made so.
            jsontext.parse(text.encode())
            self.plain = self.strict = text
        except InvalidText:
            self.plain, self.strict = bare(text), clean(text)
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.root = self.box(())
        self.one_line = self.root is not None and _NEWLINE.search(text, self.root.open, self.root.close) is None
        first = self.root.items[0].start if self.root is not None and self.root.items else None
        indent = self.indent_at(first) if first is not None and self.is_first(first) else ""
        self.unit = indent.removeprefix(self.indent_at(self.root.open) if self.root is not None else "") or "  "

    def box(self, path: Sequence[str]) -> Box | None:
        """The object or array at a path; None where there is none. Raises Uneditable for a value that is neither."""
        opening = _skip(self.strict, 0)
        if opening == len(self.strict):
            return None
        box = _box(self.strict, opening)
        for key in path:
            item = box.item(key)
            if item is None:
                return None
            box = _box(self.strict, item.value)
        return box

    def is_first(self, place: int) -> bool:
        """Whether nothing but space stands before a place on its line, and that is not the first line."""
        line = self._line(place)
        return line > 0 and not self.text[line:place].strip(" \t")

    def indent_at(self, place: int) -> str:
        """The space at the beginning of the line of a place."""
        line = self.text[self._line(place) : place]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def _line(self, place: int) -> int:
        return max(self.text.rfind("\n", 0, place), self.text.rfind("\r", 0, place)) + 1

    def member(self, key: str | None, value: Json, indent: str | None) -> str:
        """A member (or element) as text; on one line where `indent` is None."""
        shown = self.shown(value, indent)
        return shown if key is None else f"{json.dumps(key, ensure_ascii=False)}: {shown}"

    def shown(self, value: Json, indent: str | None) -> str:
        """A value over several lines, the first of which has this indentation already; None: on one line."""
        if indent is None:
            return json.dumps(value, ensure_ascii=False)
        return json.dumps(value, ensure_ascii=False, indent=self.unit).replace("\n", f"{self.newline}{indent}")


_decode = json.JSONDecoder().raw_decode


def _skip(strict: str, at: int) -> int:
    found = _SPACES.match(strict, at)
    return found.end() if found is not None else at


def _box(strict: str, opening: int) -> Box:
    if strict[opening] not in "{[":
        raise Uneditable("it holds a value where an object is expected")
    named = strict[opening] == "{"
    items: list[Item] = []
    at = _skip(strict, opening + 1)
    while strict[at] not in "}]":
        start, key = at, None
        if named:
            key, end = _decode(strict, at)
            at = _skip(strict, _skip(strict, end) + 1)
        _, end = _decode(strict, at)
        items.append(Item(key, start, at, end))
        at = _skip(strict, end)
        if strict[at] == ",":
            at = _skip(strict, at + 1)
    return Box(opening, at, tuple(items))


def put(text: str, path: Sequence[str], key: str | None, value: Json) -> str:
    """The text with a member put into the object at a path, or replaced there; objects on the way are made.

    With `key` None the value is put at the end of the array at the path. Raises Uneditable.
    """
    sheet = Sheet(text)
    at, made, name = len(path), value, key
    while (box := sheet.box(path[:at])) is None and at:
        made = {name: made} if name is not None else [made]
        at -= 1
        name = path[at]
    if box is None:
        made = {name: made} if name is not None else [made]
        before = text if not text or text.endswith(("\n", "\r")) else text + sheet.newline
        return before + sheet.shown(made, "") + sheet.newline
    if (text[box.open] == "{") != (name is not None):
        raise Uneditable("it holds an array where an object is expected, or an object where an array is")
    present = box.item(name) if name is not None else None
    if present is not None:
        shown = sheet.shown(made, sheet.indent_at(present.start) if sheet.is_first(present.start) else None)
        return text[: present.value] + shown + text[present.end :]
    return _added(sheet, box, name, made)


def _added(sheet: Sheet, box: Box, key: str | None, value: Json) -> str:
    text = sheet.text
    if not box.items:
        inside = text[box.open + 1 : box.close].rstrip(SPACE)
        if sheet.one_line and not inside:
            return text[: box.open + 1] + sheet.member(key, value, None) + text[box.close :]
        outer = sheet.indent_at(box.open)
        member = sheet.member(key, value, outer + sheet.unit)
        after = f"{sheet.newline}{outer}"
        return text[: box.open + 1] + inside + f"{after}{sheet.unit}{member}{after}" + text[box.close :]
    last = box.items[-1]
    comma = sheet.plain.find(",", last.end, box.close)
    point = comma + 1 if comma >= 0 else last.end
    if sheet.is_first(last.start):
        indent = sheet.indent_at(last.start)
        piece = f"{sheet.newline}{indent}{sheet.member(key, value, indent)}"
        point = _line_end(sheet.plain, point, box.close)
    else:
        piece = " " + sheet.member(key, value, None)
    if comma >= 0:
        return text[:point] + piece + "," + text[point:]
    return text[: last.end] + "," + text[last.end : point] + piece + text[point:]


def _line_end(plain: str, point: int, limit: int) -> int:
    # What a comment says behind a member on its line stays behind that member.
    found = _NEWLINE.search(plain, point, limit)
    return found.start() if found is not None and not plain[point : found.start()].strip(SPACE) else point


def take(text: str, path: Sequence[str], key: str | int, like: str | None = None) -> str:
    """The text without one member or element; as it is where there is none.

    `like` is the text as it was before that was put in: an object that becomes empty goes too where `like` has none,
    and looks as it looked there. So `take(put(text, …), …, like=text)` is `text`. Raises Uneditable.
    """
    sheet = Sheet(text)
    box = sheet.box(path)
    item = box.item(key) if box is not None else None
    if box is None or item is None:
        return text
    if len(box.items) == 1 and like is not None:
        before = Sheet(like).box(path)
        if before is None and not path:
            return like
        if before is None:
            return take(text, path[:-1], path[-1], like)
        if not before.items:
            return text[: box.open] + like[before.open : before.close + 1] + text[box.close + 1 :]
    return _removed(sheet, box, box.items.index(item))


def _removed(sheet: Sheet, box: Box, position: int) -> str:
    text, plain = sheet.text, sheet.plain
    item = box.items[position]
    following = _skip(plain, item.end)
    has_comma = plain[following] == ","
    end = following + 1 if has_comma else item.end
    begin = item.start
    if not sheet.is_first(begin):
        begin = len(text[:begin].rstrip(" \t"))
    elif (line := _line_end(plain, end, box.close)) > end or plain[end] in "\r\n" or _is_code(text, plain, begin):
        begin = len(text[:begin].rstrip(" \t"))
        begin -= 2 if text.endswith("\r\n", 0, begin) else 1
        end = line
    if has_comma or position == 0:
        return text[:begin] + text[end:]
    comma = plain.index(",", box.items[position - 1].end)
    return text[:comma] + text[comma + 1 : begin] + text[end:]


def _is_code(text: str, plain: str, place: int) -> bool:
    # Whether the line before ends in something else than a comment: a `//` needs the end of its line.
    before = len(text[:place].rstrip(SPACE))
    return text[before - 1 : before] == plain[before - 1 : before]
