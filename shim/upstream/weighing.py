"""How much work it is to judge a value by a schema, told without judging it.

Schemas that refer to one another may say the same of one value in exponentially many ways, and so may alternatives
within one another of a value that is nested: a short document, or a short call, could keep the shim busy for hours.

Source: JSON Schema 2020-12, "Core", 10 and 11 (which keywords apply a schema to what).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from shim.model import Json, JsonObject

_FEW: Final = 1000
_PAIRS: Final = 200_000
_LISTS: Final = ("allOf", "anyOf", "oneOf")
_ONES: Final = ("not", "if", "then", "else")
_EACH: Final = ("items", "contains", "unevaluatedItems", "additionalProperties", "unevaluatedProperties")
_NAMED: Final = ("properties", "patternProperties", "dependentSchemas", "dependencies")


class _TooMuch(Exception):
    pass


def may_grow(schema: JsonObject) -> bool:
    """Whether the work can be more than in proportion to the size of a value."""
    known: dict[int, int] = {}

    def parts(one: Json) -> int:
        if not isinstance(one, dict):
            return 1
        if id(one) not in known:
            # Met again before it is known, it is a part of itself.
            known[id(one)] = _FEW + 1
            known[id(one)] = 1 + sum(map(parts, _inner(schema, one)))
        return min(known[id(one)], _FEW + 1)

    try:
        return parts(schema) > _FEW
    except RecursionError:
        return True


def weight(schema: JsonObject, value: Json, most: int) -> int:
    """How many times, at most, a schema is applied to a part of a value; `most` + 1 where it is more than that."""
    try:
        return _Weighing(schema, most).of(schema, value)
    except (_TooMuch, RecursionError):
        return most + 1


class _Weighing:
    """Each schema meets each value once here, however many ways lead there."""

    def __init__(self, root: JsonObject, most: int) -> None:
        self._root = root
        self._most = most
        self._known: dict[tuple[int, int], int] = {}

    def of(self, schema: Json, value: Json) -> int:
        if not isinstance(schema, dict):
            return 1
        key = (id(schema), id(value))
        if (known := self._known.get(key)) is None:
            if len(self._known) >= _PAIRS:
                raise _TooMuch
            self._known[key] = 1
            known = 1 + sum(self.of(one, value) for one in _beside(self._root, schema))
            if isinstance(value, dict | list):
                known += self._within(schema, value)
            if known > self._most:
                raise _TooMuch
            self._known[key] = known
        return known

    def _within(self, schema: JsonObject, value: JsonObject | list[Json]) -> int:
        total = sum(self.of(schema[key], one) for key in _EACH if key in schema for one in _parts(key, value))
        if isinstance(value, list):
            first = schema.get("prefixItems")
            return total + sum(map(self.of, first if isinstance(first, list) else (), value))
        held = schema.get("properties")
        if isinstance(held, dict):
            total += sum(self.of(held[name], one) for name, one in value.items() if name in held)
        held = schema.get("patternProperties")
        if isinstance(held, dict):
            total += sum(self.of(one, each) for one in held.values() for each in value.values())
        # What is left over is only known once all that is beside it has been judged again for it.
        return total * (1 + len(value)) if "unevaluatedProperties" in schema else total


def _parts(key: str, value: JsonObject | list[Json]) -> Iterator[Json]:
    if isinstance(value, dict) == key.endswith("Properties"):
        yield from value.values() if isinstance(value, dict) else value


def _beside(root: JsonObject, schema: JsonObject) -> Iterator[Json]:
    """What is applied to the same value."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield _at(root, reference)
    for key in _LISTS:
        if isinstance(schema.get(key), list):
            yield from schema[key]
    for key in _ONES:
        if key in schema:
            yield schema[key]
    for key in _NAMED[2:]:
        if isinstance(schema.get(key), dict):
            yield from schema[key].values()


def _inner(root: JsonObject, schema: JsonObject) -> Iterator[Json]:
    """What is applied to the same value or a part of it."""
    yield from _beside(root, schema)
    for key in _EACH:
        if key in schema:
            yield schema[key]
    for key in _NAMED[:2]:
        if isinstance(schema.get(key), dict):
            yield from schema[key].values()
    if isinstance(schema.get("prefixItems"), list):
        yield from schema["prefixItems"]


def _at(root: JsonObject, reference: str) -> Json:
    found: Json = root
    for step in reference.split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(name)] if name.isdigit() and int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found
