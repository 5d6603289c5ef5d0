"""YAML read strictly, with the place of everything in the text.

Every scalar stays the text that was written: what it means is up to the key it stands under, so an unquoted `0e12` or
`no` is never a number or a boolean by surprise. Tags, keys that are not text, a key twice, and aliases that repeat
more than a small number of nodes are refused, and so is what makes a reader recurse or grow without bound.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from typing import TypeAlias

from yaml import CBaseLoader, MappingNode, MarkedYAMLError, Node, ScalarNode, SequenceNode

from shim.model import Json

MAX_BYTES = 8 * 2**20
MAX_DEPTH = 32
MAX_NODES = 300_000
MAX_REPEATED = 1000

Path: TypeAlias = tuple[str | int, ...]
"""Where a value stands: keys of mappings and positions in sequences, from the root."""

_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAK = re.compile(r"\r\n?|\n")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r"[-+]?[0-9]{1,1000}", re.ASCII)
_FRACTION = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_ESCAPED = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(\r\n|.))", re.DOTALL)
_ESCAPED_SPACE = frozenset("tnrvfNLP_ \t\n\r\r\n")


class Malformed(ValueError):
    """A text that cannot be read at all. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in a text that is refused, while the rest of it can be read. `line` counts from 1."""

    line: int
    message: str


def decode(data: bytes) -> str:
    """The text of a file, without a byte order mark. Raises Malformed: not UTF-8, too long, control characters."""
    if len(data) > MAX_BYTES:
        raise Malformed(
            1, f"the file is longer than {MAX_BYTES // 2**20} MiB; split it, or take out what it does not need"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Malformed(line, f"byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8") from None
    text = text.removeprefix("\ufeff")
    if found := _NOT_YAML.search(text):
        line = line_of(text, found.start())
        raise Malformed(line, f"a control character (U+{ord(found[0]):04X}) cannot stand in YAML; take it out")
    return text


@lru_cache(maxsize=4)
def _breaks(text: str) -> tuple[int, ...]:
    return tuple(found.end() for found in _BREAK.finditer(text))


def line_of(text: str, index: int) -> int:
    """The line, counted from 1, on which the character at an index stands."""
    return bisect_right(_breaks(text), index) + 1


class _Composer(CBaseLoader):
    """Composes nodes without resolving what plain scalars mean: their `tag` is empty unless one was written.

    The C composer recurses on the machine's stack and calls `descend_resolver` before each node: the one place where
    a nesting that would overflow it can be stopped.
    """

    def __init__(self, text: str, deepest: int, most: int) -> None:
        super().__init__(text)
        self._deepest = deepest
        self._most = most
        self._depth = 0
        self._nodes = 0

    def resolve(self, _kind: type[Node], _value: object, _implicit: object) -> str:
        return ""

    def descend_resolver(self, parent: Node | None, _index: object) -> None:
        self._depth += 1
        self._nodes += 1
        line = parent.start_mark.line + 1 if parent is not None else 1
        if self._depth > self._deepest:
            raise Malformed(line, f"the nesting is deeper than {self._deepest}")
        if self._nodes > self._most:
            raise Malformed(line, f"the file holds more than {self._most} values; split it")

    def ascend_resolver(self) -> None:
        self._depth -= 1


def compose(text: str, *, deepest: int = MAX_DEPTH, most: int = MAX_NODES) -> Node | None:
    """The one document of a text, None where there is none. Raises Malformed, also beyond this depth and number."""
    try:
        return _Composer(text, deepest, most).get_single_node()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Malformed(line_of(text, mark.index) if mark is not None else 1, _explained(error)) from None


def _explained(error: MarkedYAMLError) -> str:
    problem = error.problem or "it cannot be read"
    if "cannot start any token" in problem:
        problem += " (indent with spaces, and quote text that begins with one of @ ` % * & ! | >)"
    elif "mapping values are not allowed" in problem:
        problem += " (quote a value that contains `: `, and indent a mapping below its key)"
    elif "another document" in problem:
        problem += "; keep one and take out the `---` between them"
    return "not YAML: " + (f"{error.context}, {problem}" if error.context else problem)


@dataclass(slots=True)
class _Plain:
    text: str
    scalar: Callable[[ScalarNode], Json]
    flaws: list[Flaw] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)
    repeated: int = 0

    def flaw(self, node: Node, message: str) -> None:
        self.flaws.append(Flaw(line_of(self.text, node.start_mark.index), message))

    def value(self, node: Node) -> Json:
        if node.tag:
            self.flaw(node, f"a tag ({node.tag[:60]!r}) is not read here; write the value alone")
        if id(node) in self.seen:
            self.repeated += 1
            if self.repeated > MAX_REPEATED:
                line = line_of(self.text, node.start_mark.index)
                raise Malformed(line, f"aliases repeat more than {MAX_REPEATED} values; write them out")
        self.seen.add(id(node))
        if isinstance(node, ScalarNode):
            return None if is_empty(node) else self.scalar(node)
        if id(node) in self.open:
            self.flaw(node, "an alias stands inside what it repeats; write the value out")
            return None
        self.open.add(id(node))
        value = self.items(node) if isinstance(node, SequenceNode) else self.members(node)
        self.open.remove(id(node))
        return value

    def items(self, node: Node) -> list[Json]:
        return [self.value(item) for item in node.value]

    def members(self, node: Node) -> dict[str, Json]:
        result: dict[str, Json] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.flaw(key, "a key is not text; write `key: value`")
            elif key.tag:
                self.flaw(key, f"a tag ({key.tag[:60]!r}) is not read here; write the key alone")
            elif "\0" in key.value:
                self.flaw(key, "a NUL character cannot stand in a key; take it out")
            elif key.value in result:
                self.flaw(key, f"the key {key.value[:60]!r} is here a second time; keep one of them")
            else:
                result[key.value] = self.value(value)
        return result


def is_empty(node: Node) -> bool:
    """Whether a value was left out (`key:`), or written as a plain `null` or `~`."""
    return isinstance(node, ScalarNode) and not node.style and node.value in _NULLS


def _verbatim(node: ScalarNode) -> str:
    text: str = node.value
    return text


def plain(text: str, root: Node | None, scalar: Callable[[ScalarNode], Json] = _verbatim) -> tuple[Json, list[Flaw]]:
    """A document as dicts, lists, texts, and None where a value was left out; and what in it is refused.

    `scalar` gives each scalar that is a value: the text that was written, unless it says else. Of a key twice the first
    is kept. Raises Malformed when aliases repeat too much.
    """
    if root is None:
        return None, []
    reader = _Plain(text, scalar)
    return reader.value(root), reader.flaws


def meant(value: Json, node: Node) -> Json:
    """What a node's value, as `plain` gives it, is by the core schema of YAML 1.2: numbers and booleans, too.

    Texts in quotes and in blocks stay texts, and so does what was written with a placeholder.
    """
    if isinstance(value, dict):
        return {key: meant(one, found[1]) if (found := _member(node, key)) else one for key, one in value.items()}
    if isinstance(value, list):
        return [meant(one, item) for one, item in zip(value, node.value, strict=True)]
    if not isinstance(value, str) or not isinstance(node, ScalarNode) or node.style or value != node.value:
        return value
    if value in _BOOLEANS:
        return _BOOLEANS[value]
    if _WHOLE.fullmatch(value):
        return int(value)
    if _FRACTION.fullmatch(value) and isfinite(number := float(value)):
        return number
    return value


def locate(root: Node | None, path: Path) -> tuple[Node | None, Node | None]:
    """The node to point at for a path, and the value there: the key of a mapping's member, or an item itself.

    Where the path leads nowhere, the last node on the way; the value is then None. Members by a key, items by position.
    """
    point, value = root, root
    for step in path:
        found = _member(value, step) if value is not None else None
        if found is None:
            return point, None
        point, value = found
    return point, value


def _member(node: Node, step: str | int) -> tuple[Node, Node] | None:
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        item: Node = node.value[step]
        return item, item
    return None


def line_in(text: str, node: ScalarNode, offset: int) -> int:
    """The line on which the character at an offset of a scalar's value was written, whatever style it was written in.

    Folding and chomping change only white space, so the place is found by counting what is not.
    """
    start, end = node.start_mark.index, node.end_mark.index
    first = line_of(text, start)
    if first == line_of(text, end):
        return first
    raw = text[start:end]
    wanted = sum(1 for character in node.value[:offset] if not character.isspace())
    if offset >= len(node.value):
        wanted = max(0, wanted - 1)
    index = _header(raw, node.style)
    while index < len(raw):
        size, counts = _written(raw, index, node.style)
        if counts and wanted == 0:
            return line_of(text, start + index)
        wanted -= counts
        index += size
    return first


def _header(raw: str, style: str | None) -> int:
    if style in ("|", ">"):
        found = _BREAK.search(raw)
        return found.end() if found else len(raw)
    return 1 if style in ("'", '"') else 0


def _written(raw: str, index: int, style: str | None) -> tuple[int, int]:
    """How many characters of the raw text make the next one of the value, and how many of it are not white space."""
    if style == "'" and raw.startswith("''", index):
        return 2, 1
    if style == '"' and (escape := _ESCAPED.match(raw, index)):
        code = next((group for group in escape.groups()[:3] if group), None)
        is_space = chr(int(code, 16)).isspace() if code else escape[4] in _ESCAPED_SPACE
        return len(escape[0]), 0 if is_space else 1
    return 1, 0 if raw[index].isspace() else 1
