"""Input schemas of tools: which arguments one declares, and the same schema without some of them.

Only what is said of the arguments object itself counts, also by way of `$ref` and of the keywords that apply other
schemas to it; what an argument holds is its own business.

Source: JSON Schema 2020-12, core (10, "Applying Subschemas") and validation (6.5, "Validation Keywords for Objects").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from shim.model import Json, JsonObject

_DEEPEST: Final = 16
_ANY: Final[tuple[Json, ...]] = (True, {})
_LISTS: Final = ("allOf", "anyOf", "oneOf")
_ONES: Final = ("if", "then", "else", "not")
_LOOSENED: Final = frozenset({"allOf", "then", "else"})
_OTHERS: Final = ("additionalProperties", "unevaluatedProperties")
_DEFINITIONS: Final = ("$defs", "definitions")


class CannotHide(ValueError):
    """A schema that would still name an argument, or say something that is not so, without it. `str()` says why."""


def declared(schema: Json) -> frozenset[str] | None:
    """The arguments that a schema has. None: it takes others, or does not say which it has."""
    names: set[str] = set()
    said = False
    for one in _applied(schema, schema, 0):
        if one is None or any(one.get(key, False) is not False for key in _OTHERS):
            return None
        if one.get("patternProperties"):
            return None
        properties = one.get("properties")
        if isinstance(properties, dict):
            names |= properties.keys()
            said = True
        said = said or any(one.get(key) is False for key in _OTHERS)
    return frozenset(names) if said else None


def _applied(schema: Json, root: Json, depth: int) -> Iterator[JsonObject | None]:
    """A schema, and all that are applied to the same object. None stands for one that cannot be looked at."""
    if not isinstance(schema, dict):
        return
    if depth > _DEEPEST or "$dynamicRef" in schema:
        yield None
        return
    yield schema
    inner: list[Json] = [schema[key] for key in _ONES if key in schema]
    for key in _LISTS:
        inner += schema[key] if isinstance(schema.get(key), list) else []
    for key in ("dependentSchemas", "dependencies"):
        inner += schema[key].values() if isinstance(schema.get(key), dict) else []
    if "$ref" in schema:
        inner.append(_resolved(root, schema["$ref"]))
        if inner[-1] is None:
            yield None
    for one in inner:
        yield from _applied(one, root, depth + 1)


def _resolved(root: Json, reference: Json) -> Json:
    """What a reference within this schema leads to; None where it leads elsewhere, or nowhere."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        return None
    at = root
    for step in reference.split("/")[1:]:
        if isinstance(at, list):
            at = at[int(step)] if step.isdecimal() and int(step) < len(at) else None
        else:
            at = at.get(_unescaped(step)) if isinstance(at, dict) else None
    return at


def without(schema: JsonObject, names: frozenset[str]) -> JsonObject:
    """The schema for those who send none of these arguments, which are always there.

    What a condition makes of an argument that is there is worked out; what it makes of its value cannot be. Raises
    CannotHide.
    """
    return _shown(_Hiding(schema, names), schema)


def never(schema: JsonObject, names: frozenset[str]) -> JsonObject:
    """The schema for those who send none of these arguments, which are never there. Raises CannotHide."""
    return _shown(_Leaving(schema, names), schema)


def optional(schema: JsonObject, defaults: Mapping[str, Json]) -> JsonObject:
    """The schema for those who may leave these arguments out, and what they then are.

    What other parts than the schema itself demand is still demanded: none is then left out that has to be there.
    """
    shown = dict(schema)
    if isinstance(required := schema.get("required"), list):
        shown["required"] = [name for name in required if not (isinstance(name, str) and name in defaults)]
    if isinstance(properties := schema.get("properties"), dict):
        shown["properties"] = {
            name: {**one, "default": defaults[name]} if name in defaults and isinstance(one, dict) else one
            for name, one in properties.items()
        }
    return shown


def _shown(hiding: _Hiding, schema: JsonObject) -> JsonObject:
    shown = hiding.applied(schema, exact=False, depth=0)
    for reference in _references(shown):
        if _resolved(schema, reference) != _resolved(shown, reference):
            raise CannotHide("its input schema refers to the part that names it from elsewhere, too")
    return schema if shown == schema else _swept(shown)


@dataclass(slots=True)
class _Made:
    """A schema in the making; `needed` and `also` are what has to hold besides, once it is made."""

    schema: JsonObject
    needed: list[Json] = field(default_factory=list)
    also: list[Json] = field(default_factory=list)

    def done(self) -> JsonObject:
        for key, more in (("required", self.needed), ("allOf", self.also)):
            if more:
                there = self.schema.get(key)
                self.schema[key] = [*(there if isinstance(there, list) else []), *more]
        return self.schema


class _Hiding:
    def __init__(self, root: JsonObject, names: frozenset[str]) -> None:
        self._root = root
        self._names = names

    def applied(self, schema: JsonObject, *, exact: bool, depth: int) -> JsonObject:
        """One schema of the arguments. `exact`: it may not become looser, for something hangs on its saying no."""
        if depth > _DEEPEST:
            raise CannotHide("its input schema is nested too deeply, or refers to itself")
        made = _Made(dict(schema))
        for key, value in schema.items():
            self._keyword(made, key, value, exact=exact, depth=depth)
        return made.done()

    def _keyword(self, made: _Made, key: str, value: Json, *, exact: bool, depth: int) -> None:
        match key:
            case "properties" if isinstance(value, dict):
                if exact and any(value[name] not in _ANY for name in self._names & value.keys()):
                    raise CannotHide("its input schema makes what else it takes depend on its value")
                made.schema[key] = self._object(value)
            case "$ref":
                self._reference(made, value, exact=exact, depth=depth)
            case "$dynamicRef" | "$recursiveRef":
                raise CannotHide(f"its input schema has a `{key}`, which may lead anywhere")
            case "allOf" | "anyOf" | "oneOf" if isinstance(value, list):
                made.schema[key] = [self._inner(one, key, exact=exact, depth=depth) for one in value]
            case "if" | "then" | "else" | "not":
                made.schema[key] = self._inner(value, key, exact=exact, depth=depth)
            case "dependentRequired" | "dependentSchemas" | "dependencies" if isinstance(value, dict):
                self._dependent(made, key, value, exact=exact, depth=depth)
            case _:
                self._assertion(made, key, value, exact=exact)

    def _assertion(self, made: _Made, key: str, value: Json, *, exact: bool) -> None:
        match key:
            case "minProperties" | "maxProperties":
                if exact:
                    raise CannotHide(f"its input schema counts arguments in `{key}`")
                del made.schema[key]
            case "const" | "enum" | "propertyNames":
                if any(self._names & named for named in _named(value)):
                    raise CannotHide(f"its input schema names it in `{key}`")
            case "default":
                made.schema[key] = self._object(value)
            case "examples" if isinstance(value, list):
                made.schema[key] = [self._object(one) for one in value]
            case _ if isinstance(value, list) and key != "type":
                # `required`, and orders that forms are shown in.
                made.schema[key] = self._listed(value)

    def _inner(self, schema: Json, key: str, *, exact: bool, depth: int) -> Json:
        if not isinstance(schema, dict):
            return schema
        return self.applied(schema, exact=exact or key not in _LOOSENED, depth=depth + 1)

    def _reference(self, made: _Made, reference: Json, *, exact: bool, depth: int) -> None:
        meant = _resolved(self._root, reference)
        if not isinstance(meant, dict):
            raise CannotHide(f"its input schema refers to {str(reference)[:80]!r}, which is not in it")
        shown = self.applied(meant, exact=exact, depth=depth + 1)
        if shown != meant:
            # Others may refer to the same for what an argument holds, where the name is another thing.
            del made.schema["$ref"]
            made.also.append(shown)

    def _dependent(self, made: _Made, key: str, value: JsonObject, *, exact: bool, depth: int) -> None:
        kept: JsonObject = {}
        for name, needed in value.items():
            is_list = isinstance(needed, list)
            shown = self._listed(needed) if is_list else self._inner(needed, "then", exact=exact, depth=depth)
            if name not in self._names:
                kept[name] = shown
            else:
                # It is always there, so what depends on it always holds.
                made.needed += shown if is_list else []
                made.also += [] if is_list else [shown]
        made.schema[key] = kept

    def _listed(self, value: list[Json]) -> list[Json]:
        return [one for one in value if not (isinstance(one, str) and one in self._names)]

    def _object(self, value: Json) -> Json:
        return {key: one for key, one in value.items() if key not in self._names} if isinstance(value, dict) else value


class _Leaving(_Hiding):
    """Of what is never there: a schema that demands it says no, and what depends on it does not count."""

    def applied(self, schema: JsonObject, *, exact: bool, depth: int) -> JsonObject:
        required = schema.get("required")
        if isinstance(required, list) and any(name in self._names for name in required if isinstance(name, str)):
            if not exact:
                raise CannotHide("it has to be there; give it a value under `fixed` or `default`")
            return {"not": {}}
        return super().applied(schema, exact=exact, depth=depth)

    def _keyword(self, made: _Made, key: str, value: Json, *, exact: bool, depth: int) -> None:
        match key:
            case "properties" if isinstance(value, dict):
                made.schema[key] = self._object(value)
            case "minProperties" | "maxProperties":
                pass
            case _:
                super()._keyword(made, key, value, exact=exact, depth=depth)

    def _dependent(self, made: _Made, key: str, value: JsonObject, *, exact: bool, depth: int) -> None:
        kept: JsonObject = {}
        for name, needed in value.items():
            if name in self._names:
                continue
            if isinstance(needed, list) and len(self._listed(needed)) != len(needed):
                raise CannotHide(f"its input schema demands it wherever {name[:80]!r} is")
            kept[name] = needed if isinstance(needed, list) else self._inner(needed, "then", exact=exact, depth=depth)
        made.schema[key] = kept


def _named(value: Json) -> Iterator[set[str]]:
    """The names that objects within a value have, and its texts."""
    if isinstance(value, dict):
        yield set(value)
        for one in value.values():
            yield from _named(one)
    elif isinstance(value, list):
        for one in value:
            yield from _named(one)
    elif isinstance(value, str):
        yield {value}


def _swept(schema: JsonObject) -> JsonObject:
    """The schema without the definitions that nothing leads to any more."""
    held = {key: schema[key] for key in _DEFINITIONS if isinstance(schema.get(key), dict)}
    kept = {key: value for key, value in schema.items() if key not in held}
    wanted = list(_references(kept))
    reached: set[tuple[str, str]] = set()
    while wanted:
        reference = wanted.pop()
        if not reference.startswith("#/") and reference != "#":
            # An anchor, or an address: it may lead to any of them.
            return schema
        key, name = ([_unescaped(step) for step in reference.split("/")[1:3]] + ["", ""])[:2]
        if (key, name) not in reached and name in held.get(key, {}):
            reached.add((key, name))
            wanted += _references(held[key][name])
    left = {key: {name: one for name, one in each.items() if (key, name) in reached} for key, each in held.items()}
    return kept | {key: each for key, each in left.items() if each}


def _unescaped(step: str) -> str:
    return unquote(step).replace("~1", "/").replace("~0", "~")


def _references(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)
