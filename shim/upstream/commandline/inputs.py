"""What a tool of a program takes: JSON Schema, and how each value becomes text."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from shim import jsontext
from shim.model import Json, JsonObject
from shim.upstream.arguments import NoSchema, compiled
from shim.upstream.commandline.template import NAME, Misfit, Value

Shape: TypeAlias = Literal["text", "array", "json"]

_OWN: Final = frozenset({"optional", "lines", "as", "under"})
_SAID: Final = frozenset({"type", "title", "description", "default", "examples", "enum", "const", "writeOnly"})
_OF_TEXT: Final = frozenset({"pattern", "minLength", "maxLength", "format"})
_OF_NUMBERS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_OF_LISTS: Final = frozenset({"items", "minItems", "maxItems", "uniqueItems"})
_KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "string": _SAID | _OF_TEXT,
    "path": _SAID | _OF_TEXT,
    "integer": _SAID | _OF_NUMBERS,
    "number": _SAID | _OF_NUMBERS,
    "boolean": _SAID,
    "array": _SAID | _OF_LISTS,
}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NO_LINES: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_PATH_LENGTH: Final = 4096
_NAME: Final = re.compile(NAME)


@dataclass(frozen=True, slots=True)
class Input:
    """One argument. `schema` is what is shown of it, `under` the folder that a path stays in.

    `is_small`: a number that is never negative. `choices`: the texts of all values, where they are counted.
    """

    name: str
    schema: JsonObject
    shape: Shape
    is_optional: bool
    lines: bool
    as_file: bool
    under: str | None
    is_small: bool
    choices: frozenset[str] | None

    @property
    def has_default(self) -> bool:
        return "default" in self.schema

    @property
    def may_lack(self) -> bool:
        """Whether there may be no value."""
        return self.is_optional and not self.has_default

    def value(self, given: Json) -> Value:
        """What fills its places, of an argument that fits the schema. Raises Misfit."""
        if self.shape == "array":
            return tuple(self._text(one) for one in given)
        return self._text(given)

    def content(self, given: Json) -> bytes:
        """What is in its file. Raises Misfit."""
        return self._text(given).encode() if isinstance(given, str) else jsontext.dump(given)

    def _text(self, given: Json) -> str:
        text = text_of(given)
        if _SURROGATE.search(text):
            raise Misfit(self.name, "it holds half of a character (a lone surrogate)")
        if (_NO_LINES if self.lines else _CONTROL).search(text):
            raise Misfit(self.name, "it holds a control character" + ("" if self.lines else ", such as a line's end"))
        if self.under is None:
            return text
        found = within(self.under, text, self.name)
        # A link may lead to any name that a disk can hold.
        if _SURROGATE.search(found) or _CONTROL.search(found):
            raise Misfit(self.name, "what it leads to has a name that is no text")
        return found


def text_of(value: Json) -> str:
    """A number, text or boolean as programs write it: numbers with digits alone, no exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # JSON Schema holds 1.0 for an integer.
        return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
    return value if isinstance(value, str) else str(value)


def within(folder: str, path: str, name: str) -> str:
    """The real path of something below a folder, or of the folder: all links followed. Raises Misfit."""
    if path.startswith("/") or not path:
        raise Misfit(name, "it is not relative to the folder that it has to stay in")
    try:
        real = os.path.realpath(folder, strict=True)
        found = os.path.realpath(Path(real, path))
    except OSError:
        raise Misfit(name, "the folder that it has to stay in cannot be read") from None
    if found != real and not found.startswith(real.rstrip("/") + "/"):
        raise Misfit(name, "it leads out of the folder that it has to stay in")
    return found


def declared(name: str, written: object) -> Input:
    """An argument as a configuration has it. Raises ValueError: what is wrong with it, and what would be right."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is no name; write letters, digits and `_ . -`, at most 64")
    if not isinstance(written, dict):
        raise ValueError(  # noqa: TRY004 (pydantic's way)
            f"{name}: a mapping of JSON Schema keywords is expected, such as {{type: integer}}"
        )
    for key in ("optional", "lines"):
        if written.get(key, False) not in (True, False):
            raise ValueError(f"{name}: `{key}` is true or false")
    if written.get("as", "file") != "file":
        raise ValueError(f"{name}: `as` can be `file` only")
    schema, under = _schema(name, written), written.get("under")
    if "default" in schema and not compiled(_plain(schema)).is_valid(schema["default"]):
        raise ValueError(f"{name}: its default does not fit its own schema")
    shape: Shape = "text" if schema.get("type") in ("string", "integer", "number", "boolean") else "json"
    if schema.get("type") == "array" and _is_text(schema.get("items")):
        shape = "array"
        under = written["items"].get("under")
    if under is not None and not isinstance(under, str):
        raise ValueError(f"{name}: `under` is a folder")
    return Input(
        name,
        schema,
        shape,
        is_optional=written.get("optional", False),
        lines=written.get("lines", False),
        as_file="as" in written,
        under=under,
        is_small=schema.get("type") in ("integer", "number") and _least(schema) >= 0,
        choices=_choices(schema),
    )


def _schema(name: str, written: JsonObject) -> JsonObject:
    """What is shown of an argument; checked, because what is not enforced would be a promise."""
    schema = {key: value for key, value in written.items() if key not in _OWN}
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if "type" not in schema and isinstance(values, list) and all(map(_is_string, values)):
        schema["type"] = "string"
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in (*_KEYWORDS, "object"):
        raise ValueError(f"{name}: write its `type`: {', '.join(_KEYWORDS)} or object")
    if kind == "object" or (kind == "array" and not _is_text(schema.get("items"))):
        return _compiled(name, schema)
    if strange := sorted(schema.keys() - _KEYWORDS[kind]):
        known = ", ".join(sorted(_KEYWORDS[kind] | _OWN))
        raise ValueError(f"{name}: {strange[0]!r} is not known for the type {kind}; known are {known}")
    if schema.get("format", "password") != "password":
        # No other is enforced, here or by those who judge arguments.
        raise ValueError(
            f"{name}: `format` can be `password` only, which keeps it out of the record; write a `pattern`"
        )
    if schema.get("writeOnly", False) not in (True, False):
        raise ValueError(f"{name}: `writeOnly` is true or false")
    if kind == "array":
        return _compiled(name, _array(name, schema))
    if "under" in written and kind != "path":
        raise ValueError(f"{name}: `under` belongs to `type: path`")
    return _compiled(name, _path(name, schema, written) if kind == "path" else _bounded(name, schema))


def _array(name: str, schema: JsonObject) -> JsonObject:
    items = schema["items"]
    if _OWN & items.keys() - {"under"}:
        raise ValueError(f"{name}: `optional`, `lines` and `as` stand beside `items`, not in it")
    if "maxItems" not in schema:
        raise ValueError(f"{name}: a list needs a bound; write `maxItems`")
    return {**schema, "items": _schema(name, items)}


def _path(name: str, schema: JsonObject, written: JsonObject) -> JsonObject:
    if not isinstance(written.get("under"), str):
        raise ValueError(f"{name}: a path stays in a folder; write `under: FOLDER`")  # noqa: TRY004 (pydantic's way)
    return _bounded(name, {"maxLength": _PATH_LENGTH, "minLength": 1, **schema, "type": "string"})


def _bounded(name: str, schema: JsonObject) -> JsonObject:
    """Free text has a bound, and a pattern is one of the whole."""
    if schema["type"] == "string" and not schema.keys() & {"pattern", "maxLength", "enum", "const"}:
        raise ValueError(f"{name}: free text needs a bound; write `pattern`, `enum` or `maxLength`")
    if (pattern := schema.get("pattern")) is None:
        return schema
    # By itself first: one that closes what it has not opened would end the group around it.
    _compiled(name, {"pattern": pattern})
    return {**schema, "pattern": f"^(?:{pattern})$"}


def _compiled(name: str, schema: JsonObject) -> JsonObject:
    try:
        compiled(_plain(schema))
    except NoSchema as error:
        raise ValueError(f"{name}: this is no JSON Schema: {error}") from None
    return schema


def _plain(schema: JsonObject) -> JsonObject:
    return {key: value for key, value in schema.items() if key != "default"}


def _is_text(items: object) -> bool:
    return isinstance(items, dict) and (items.get("type") in ("string", "integer", "number", "path") or "enum" in items)


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _least(schema: JsonObject) -> float:
    found: list[Any] = [schema[key] for key in ("minimum", "exclusiveMinimum") if key in schema]
    return max((float(one) for one in found), default=-1.0)


def _choices(schema: JsonObject) -> frozenset[str] | None:
    if schema.get("type") == "boolean":
        return frozenset({"true", "false"})
    if isinstance(schema.get("enum"), list):
        return frozenset(text_of(one) for one in schema["enum"])
    return None
