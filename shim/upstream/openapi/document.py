"""Reading an OpenAPI document: JSON or YAML, bounded in bytes, depth and what it expands to.

Source: OpenAPI Specification 3.0.4 and 3.1.1. Real documents break it in many places: only what could mean two
things, or nothing, is refused here.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import orjson
from yaml import ScalarNode

from shim import yamltext
from shim.model import Json, JsonObject

MAX_BYTES: Final = 32 * 2**20
_DEEPEST: Final = 96
_MOST: Final = 1_000_000
_MOST_JSON: Final = 4_000_000
_HOPS: Final = 32
_CONVERTERS: Final = "swagger2openapi, or converter.swagger.io"


class Unreadable(ValueError):
    """A document of which nothing can be offered. `line` is that of the document; None: of what names it."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.line = line


class Unsuited(Unreadable):
    """What the configuration asks for is not in the document. `path` leads to it from the upstream's block."""

    def __init__(self, why: str, *path: str | int) -> None:
        super().__init__(why)
        self.path = path


class Broken(ValueError):
    """A part of a document of which no sense can be made; the rest can be used."""


class Outside(Unreadable):
    """A reference that leaves the document."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document of OpenAPI 3. `is_30`: its schemas are those of 3.0, else JSON Schema."""

    root: JsonObject = field(repr=False)
    text: bytes = field(repr=False)
    is_30: bool

    def at(self, reference: str) -> Json:
        """What a reference means. Raises Broken, and Outside."""
        value: Json = self.root
        for step in self._steps(reference):
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            else:
                raise Broken(f"{reference[:120]} leads nowhere")
        return value

    def resolved(self, value: Json) -> JsonObject:
        """An object, or what it refers to. Raises Broken, and Outside."""
        for _ in range(_HOPS):
            if not isinstance(value, dict):
                raise Broken("there is no object where one has to be")
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            value = self.at(reference)
        raise Broken("its references lead round in a circle")

    def _steps(self, reference: str) -> list[str]:
        if not reference.startswith("#"):
            line = self.text.count(b"\n", 0, max(0, self.text.find(reference.encode("utf-8", "replace")))) + 1
            raise Outside(
                f"{reference[:120]} is outside of the document, and nothing is fetched; bundle it into one file", line
            )
        if reference not in ("#", "#/") and not reference.startswith("#/"):
            raise Broken(f"{reference[:120]} is no place in the document")
        return [_unescaped(step) for step in reference.split("/")[1:]]


def bytes_of(path: Path) -> bytes:
    """What a file holds, up to what is too much for a document. Raises OSError, also for what may never end to come."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "It is no file")
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def read(data: bytes) -> Document:
    """The document of a text. Raises Unreadable: with what would be right, and the line where it is known."""
    if len(data) > MAX_BYTES:
        raise Unreadable(f"the document is larger than {MAX_BYTES // 2**20} MiB; cut it to the paths that are needed")
    root = _json(data) if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" else _yaml(data)
    if not isinstance(root, dict):
        raise Unreadable("the document is no mapping, so none of OpenAPI", 1)
    version = root.get("openapi")
    if "swagger" in root and version is None:
        raise Unreadable(
            f"the document is of OpenAPI {str(root['swagger'])[:20]}; convert it to 3.0 first, with {_CONVERTERS}",
            _line_of(data, b"swagger"),
        )
    is_30 = isinstance(version, str) and version.startswith("3.0")
    if not is_30 and not (isinstance(version, str) and version.startswith("3.1")):
        said = f"`openapi: {str(version)[:20]}`" if version is not None else "no `openapi: 3.x`"
        raise Unreadable(f"the document has {said}; only OpenAPI 3.0 and 3.1 are read here", _line_of(data, b"openapi"))
    if not isinstance(root.get("paths"), dict):
        raise Unreadable("the document has no `paths`, so no operations", 1)
    return Document(root, data, is_30)


def _json(data: bytes) -> Json:
    """Not by the strict reader: these texts have megabytes, and come from whoever runs the service."""
    if sum(data.count(one) for one in (b"{", b"[", b",")) > _MOST_JSON:
        raise Unreadable(f"the document holds more than {_MOST_JSON} values; cut it to the paths that are needed")
    try:
        root = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        if len(data) <= yamltext.MAX_BYTES and _is_flow(data):
            return _yaml(data)
        raise Unreadable(f"the document is no JSON: {error.msg}", error.lineno) from None
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise Unreadable(f"the document is nested deeper than {_DEEPEST}; nothing can be made of that")
        level = [
            one
            for holder in level
            for one in (holder.values() if type(holder) is dict else holder)
            if type(one) is dict or type(one) is list
        ]
    return root


def _is_flow(data: bytes) -> bool:
    """Whether it may be YAML in braces: its keys are not in quotes."""
    return data.lstrip(b"\xef\xbb\xbf \t\r\n{")[:1] != b'"'


def _yaml(data: bytes) -> Json:
    try:
        text = yamltext.decode(data)
        root = yamltext.compose(text, deepest=_DEEPEST, most=_MOST)
        value, flaws = yamltext.plain(text, root, _meant)
    except yamltext.Malformed as error:
        raise Unreadable(f"the document cannot be read: {error}", error.line) from None
    if flaws:
        raise Unreadable(f"the document cannot be read: {flaws[0].message}", flaws[0].line)
    return value


def _meant(node: ScalarNode) -> Json:
    return yamltext.meant(node.value, node)


def _line_of(data: bytes, word: bytes) -> int:
    return data.count(b"\n", 0, max(0, data.find(word))) + 1


def _unescaped(step: str) -> str:
    return unquote(step).replace("~1", "/").replace("~0", "~")
