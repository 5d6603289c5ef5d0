"""Which values a tool's input schema marks as secret: `format: password` or `writeOnly`, also through references.

JSON Schema 2020-12 and the keywords of earlier drafts that still occur. References lead only inside the schema. Where
it is not certain which subschema a value belongs to, all that could be are taken: too much is hidden, never too little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from shim.model import Json, JsonObject

_IN_PLACE = ("allOf", "anyOf", "oneOf", "if", "then", "else", "not", "dependentSchemas", "$ref", "$dynamicRef")
_MOST = 256
_MOST_WAITING = 4 * _MOST
_MOST_REMEMBERED = 4096
_LONGEST_INDEX = 9
_UNCERTAIN: JsonObject = {"writeOnly": True}

Schemas = tuple[JsonObject, ...]


class Marks:
    """One schema, prepared. `any` is False when nothing in it is marked, so that there is nothing to follow.

    What follows from what is remembered: a list of a million items asks once.
    """

    def __init__(self, schema: JsonObject) -> None:
        self.schema = schema
        self._anchors: dict[str, JsonObject] = {}
        self._closures: dict[tuple[int, ...], Schemas] = {}
        self._steps: dict[tuple[int, str | int], tuple[Schemas, Schemas]] = {}
        self._longest_prefix = 0
        self.any = False
        for part in _objects(schema):
            if _is_marked(part):
                self.any = True
            for key in ("prefixItems", "items"):
                if isinstance(part.get(key), list):
                    self._longest_prefix = max(self._longest_prefix, len(part[key]))
            for key in ("$anchor", "$dynamicAnchor"):
                name = part.get(key)
                if isinstance(name, str):
                    self._anchors.setdefault(name, part)

    def root(self) -> Schemas:
        """The schemas that hold for the whole value."""
        return self._closure([self.schema])

    def marked(self, schemas: Schemas) -> bool:
        """Whether a value to which these hold is secret."""
        return len(schemas) >= _MOST or any(_is_marked(schema) for schema in schemas)

    def member(self, schemas: Schemas, key: str) -> Schemas:
        """The schemas that hold for a member of an object."""
        known = self._steps.get((id(schemas), key))
        return known[1] if known is not None else self._remember(schemas, key, self._members(schemas, key))

    def item(self, schemas: Schemas, index: int) -> Schemas:
        """The schemas that hold for an item of an array."""
        # Beyond the longest `prefixItems` all are alike.
        index = min(index, self._longest_prefix)
        known = self._steps.get((id(schemas), index))
        return known[1] if known is not None else self._remember(schemas, index, self._items(schemas, index))

    def _remember(self, schemas: Schemas, step: str | int, found: list[Json]) -> Schemas:
        if len(self._steps) >= _MOST_REMEMBERED:
            self._steps.clear()
        result = self._closure(found)
        # Holds where it leads from, so that its id cannot become another's meanwhile.
        self._steps[id(schemas), step] = schemas, result
        return result

    def _members(self, schemas: Schemas, key: str) -> list[Json]:
        found: list[Json] = []
        for schema in schemas:
            properties = schema.get("properties")
            if isinstance(properties, dict) and key in properties:
                found.append(properties[key])
            else:
                found += [schema.get("additionalProperties"), schema.get("unevaluatedProperties")]
            patterns = schema.get("patternProperties")
            if isinstance(patterns, dict):
                # Not matched: another's expression could take for ever.
                found += patterns.values()
        return found

    def _items(self, schemas: Schemas, index: int) -> list[Json]:
        found: list[Json] = []
        for schema in schemas:
            for key in ("prefixItems", "items"):
                value = schema.get(key)
                if isinstance(value, list):
                    found += value[index : index + 1]
                else:
                    found.append(value)
            found += [schema.get(key) for key in ("additionalItems", "contains", "unevaluatedItems")]
        return found

    def _closure(self, schemas: Iterable[Json]) -> Schemas:
        waiting = [schema for schema in schemas if isinstance(schema, dict)]
        key = tuple(map(id, waiting))
        closure = self._closures.get(key)
        if closure is None:
            if len(self._closures) >= _MOST_REMEMBERED:
                self._closures.clear()
            closure = self._closures[key] = self._closed(waiting)
        return closure

    def _closed(self, waiting: list[JsonObject]) -> Schemas:
        found: dict[int, JsonObject] = {}
        while waiting and len(found) < _MOST:
            if len(waiting) > _MOST_WAITING:
                return (_UNCERTAIN,)
            schema = waiting.pop()
            if id(schema) in found:
                continue
            found[id(schema)] = schema
            for key in _IN_PLACE:
                waiting += self._in_place(key, schema.get(key))
        return tuple(found.values())

    def _in_place(self, key: str, value: Json) -> list[JsonObject]:
        if key in ("$ref", "$dynamicRef"):
            target = self._resolve(value) if isinstance(value, str) else None
            return [target] if target is not None else []
        if key == "dependentSchemas" and isinstance(value, dict):
            value = list(value.values())
        values = value if isinstance(value, list) else [value]
        return [schema for schema in values if isinstance(schema, dict)]

    def _resolve(self, reference: str) -> JsonObject | None:
        before, _, fragment = reference.partition("#")
        if before and before != self.schema.get("$id"):
            return None
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            return self._anchors.get(fragment)
        value: Json = self.schema
        for step in fragment.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict):
                value = value.get(step)
            elif (
                isinstance(value, list) and len(step) <= _LONGEST_INDEX and step.isdecimal() and int(step) < len(value)
            ):
                value = value[int(step)]
            else:
                return None
        return value if isinstance(value, dict) else None


def _is_marked(schema: JsonObject) -> bool:
    return schema.get("format") == "password" or schema.get("writeOnly") is True


def _objects(value: Json) -> Iterator[JsonObject]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
