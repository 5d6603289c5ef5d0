"""Schemas of a document as schemas of arguments: JSON Schema 2020-12, whole by themselves, references kept.

Plain dicts all the way: what several tools use is converted once and shared. A keyword whose value is no value for it
is dropped, so that a schema becomes looser and never wrong: the service judges again.

Source: OpenAPI Specification 3.0.4, "Schema Object"; 3.1.1, "Schema Object"; JSON Schema 2020-12.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from shim.model import Json, JsonObject
from shim.upstream.arguments import NoSchema, compiled
from shim.upstream.openapi.document import Broken, Document

_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_UNNAMED: Final = re.compile(r"[^A-Za-z0-9_.-]")


def _is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _is_flag(value: Json) -> bool:
    return isinstance(value, bool)


def _is_names(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


_KEPT: Final[Mapping[str, Callable[[Json], bool]]] = {
    **dict.fromkeys(("title", "description", "format", "contentEncoding", "contentMediaType"), _is_text),
    **dict.fromkeys(("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"), _is_number),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"), _is_count),
    **dict.fromkeys(("minContains", "maxContains"), _is_count),
    **dict.fromkeys(("uniqueItems", "deprecated", "writeOnly"), _is_flag),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "enum": lambda value: isinstance(value, list) and bool(value),
    "default": lambda _: True,
    "const": lambda _: True,
}
_ONES: Final = ("not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS: Final = ("properties", "patternProperties", "dependentSchemas")


@dataclass(slots=True)
class Schemas:
    """Converts the schemas of one document. What is read only is no argument."""

    document: Document
    _named: dict[str, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _made: dict[str, tuple[Json, frozenset[str]]] = field(default_factory=dict)
    _patterns: dict[str, bool] = field(default_factory=dict)

    def converted(self, schema: Json, used: set[str]) -> Json:
        """A schema as one of arguments; what it refers to is added to `used`. Raises Broken, and Outside."""
        return _Conversion(self, used).schema(schema)

    def definitions(self, used: set[str]) -> JsonObject:
        """`$defs` for these references and for all that they lead to. Raises Broken, and Outside."""
        found: JsonObject = {}
        waiting, seen = sorted(used), set(used)
        while waiting:
            reference = waiting.pop()
            made, needs = self._one(reference)
            found[self.name(reference)] = made
            more = needs - seen
            seen |= more
            waiting += sorted(more)
        return dict(sorted(found.items()))

    def _one(self, reference: str) -> tuple[Json, frozenset[str]]:
        if (known := self._made.get(reference)) is None:
            used: set[str] = set()
            made = self.converted(self.document.at(reference), used)
            known = self._made[reference] = (made, frozenset(used))
        return known

    def name(self, reference: str) -> str:
        """What a reference is called under `$defs`: always the same, and no two alike."""
        if (known := self._named.get(reference)) is None:
            steps = reference.rstrip("/").split("/")
            plain = "components/schemas/" in reference and len(steps) == 4
            wanted = _UNNAMED.sub("_", steps[-1] if plain else "_".join(steps[1:]))[-100:] or "root"
            known = wanted
            if known in self._taken:
                known = f"{wanted}_{hashlib.sha256(reference.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
            self._taken.add(known)
            self._named[reference] = known
        return known

    def is_pattern(self, text: Json) -> bool:
        """Whether a regular expression is one that arguments can be judged by."""
        if not isinstance(text, str):
            return False
        if (known := self._patterns.get(text)) is None:
            try:
                compiled({"pattern": text})
                known = True
            except NoSchema:
                known = False
            self._patterns[text] = known
        return known


@dataclass(slots=True)
class _Conversion:
    schemas: Schemas
    used: set[str]

    def schema(self, value: Json) -> Json:
        if isinstance(value, bool):
            return value
        if value is None:
            # Written and left empty: anything.
            return {}
        if not isinstance(value, dict):
            raise Broken("a schema is neither an object nor true or false")
        made: JsonObject = {}
        reference = value.get("$ref")
        if isinstance(reference, str):
            self.schemas.document.at(reference)
            self.used.add(reference)
            made["$ref"] = f"#/$defs/{self.schemas.name(reference)}"
            if self.schemas.document.is_30:
                return made | {key: value[key] for key in ("description",) if isinstance(value.get(key), str)}
        for key, held in value.items():
            if (fits := _KEPT.get(key)) is not None and fits(held):
                made[key] = held
        self._types(value, made)
        self._inner(value, made)
        self._members(value, made)
        if self.schemas.is_pattern(value.get("pattern")):
            made["pattern"] = value["pattern"]
        if self.schemas.document.is_30:
            return _as_of_31(value, made)
        return made

    def _types(self, value: JsonObject, made: JsonObject) -> None:
        said = value.get("type")
        if isinstance(said, str) and said in _TYPES:
            made["type"] = said
        elif isinstance(said, list) and said and all(isinstance(one, str) and one in _TYPES for one in said):
            made["type"] = list(dict.fromkeys(said))
        if is_binary(value):
            made |= {"type": "string", "contentEncoding": "base64"}
            for key in ("format", "maxLength", "minLength"):
                made.pop(key, None)

    def _inner(self, value: JsonObject, made: JsonObject) -> None:
        for key in _ONES:
            if isinstance(value.get(key), dict | bool):
                made[key] = self.schema(value[key])
        for key in ("items", "additionalProperties"):
            if isinstance(value.get(key), dict | bool):
                made[key] = self.schema(value[key])
        for key in _LISTS:
            if isinstance(value.get(key), list) and value[key]:
                made[_alternatives(key, value)] = [self.schema(one) for one in value[key]]
        for key in _MAPS:
            if isinstance(value.get(key), dict):
                made[key] = {
                    name: self.schema(one)
                    for name, one in value[key].items()
                    if (key != "patternProperties" or self.schemas.is_pattern(name)) and not self._is_read_only(one)
                }

    def _members(self, value: JsonObject, made: JsonObject) -> None:
        if not _is_names(value.get("required")):
            return
        held = value.get("properties")
        properties = held if isinstance(held, dict) else {}
        required = [
            name
            for name in dict.fromkeys(value["required"])
            if name not in properties or not self._is_read_only(properties[name])
        ]
        if required:
            made["required"] = required

    def _is_read_only(self, schema: Json) -> bool:
        if not isinstance(schema, dict):
            return False
        if schema.get("readOnly") is True:
            return True
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return False
        return self.schemas.document.resolved(schema).get("readOnly") is True


def _alternatives(key: str, value: JsonObject) -> str:
    """`oneOf` with a discriminator as `anyOf`: which one is meant is told by a value, though others may fit it, too."""
    is_told = key == "oneOf" and isinstance(value.get("discriminator"), dict) and "anyOf" not in value
    return "anyOf" if is_told else key


def _as_of_31(value: JsonObject, made: JsonObject) -> JsonObject:
    """What 3.0 says in words of its own."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if value.get(exclusive) is True and bound in made:
            made[exclusive] = made.pop(bound)
    if value.get("nullable") is not True:
        return made
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if "enum" in made and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
        if not any(key in made for key in ("$ref", *_LISTS, "const", "not")):
            return made
    if any(key in made for key in ("$ref", "type", "enum", *_LISTS)):
        said: JsonObject = {
            key: made.pop(key) for key in ("title", "description", "default", "deprecated") if key in made
        }
        return {**said, "anyOf": [made, {"type": "null"}]}
    return made


def is_binary(schema: Json) -> bool:
    """Whether a text of this schema is bytes, which JSON cannot hold: as an argument it is in base64."""
    if not isinstance(schema, dict) or schema.get("type") not in ("string", "file", ["string", "null"]):
        return False
    media = schema.get("contentMediaType")
    return (
        schema.get("format") == "binary"
        or schema.get("type") == "file"
        or (
            isinstance(media, str)
            and "contentEncoding" not in schema
            and not media.startswith("text/")
            and not media.partition(";")[0].endswith(("json", "xml"))
        )
    )
