"""Arguments of a call against the input schema of its tool, where the shim itself judges them.

Source: JSON Schema 2020-12, which is what schemas of MCP are unless they say else (specification 2026-07-28,
server/tools).
"""

from __future__ import annotations

from typing import Final, NoReturn

import jsonschema_rs

from shim.model import Json, JsonObject, Tool
from shim.upstream import weighing

_COMPILED: Final = 4096
_SHOWN: Final = 3
_LONGEST: Final = 300
_MOST: Final = 1_000_000
_EXPLAINED: Final = 2000
"""Applications of a schema that a judgement may take, and up to which each fault is looked for: that takes a thousand
times as long."""
_MASK: Final = "its value"


class NoSchema(ValueError):
    """Nothing can be judged by this schema. `str()` says why."""


def _never(uri: str) -> NoReturn:
    raise NoSchema(f"it refers to {uri[:100]}, which is outside of it; nothing is fetched")


def compiled(schema: JsonObject) -> jsonschema_rs.Draft202012Validator:
    """What judges by this schema. References stay within it. Raises NoSchema."""
    try:
        return jsonschema_rs.Draft202012Validator(schema, retriever=_never, mask=_MASK)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise NoSchema(str(error).partition("\n")[0][:_LONGEST]) from None


def unfit(schema: Json, name: str, value: Json) -> str | None:
    """Why one argument cannot have a value, by what the schema says of it alone and without the value. None where it
    can, or where that cannot be told."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or not isinstance(properties.get(name), dict):
        return None
    apart = {key: schema[key] for key in ("$schema", "$defs", "definitions") if key in schema}
    try:
        judge = compiled({**apart, "properties": {name: properties[name]}})
    except NoSchema:
        return None
    return None if judge.is_valid({name: value}) else "; ".join(_faults(judge, schema, {name: value}))


class Judge:
    """Remembers what it compiled: each schema once, for as long as there are not too many."""

    def __init__(self) -> None:
        self._compiled: dict[str, tuple[jsonschema_rs.Draft202012Validator, bool]] = {}

    def misfit(self, tool: Tool, arguments: JsonObject) -> str | None:
        """Which arguments do not fit the tool's schema, and why: without a value of them. None where they fit."""
        # As its caller sees it: what the operator puts in is no business of theirs.
        schema = tool.definition["inputSchema"]
        known = self._compiled.get(tool.digest)
        if known is None:
            if len(self._compiled) >= _COMPILED:
                self._compiled.clear()
            try:
                known = (compiled(schema), weighing.may_grow(schema))
            except NoSchema as error:
                return f"The arguments cannot be judged, because the tool's input schema is none: {error}."
            self._compiled[tool.digest] = known
        judge, may_grow = known
        if may_grow and weighing.weight(schema, arguments, _MOST) > _MOST:
            return (
                "These arguments are too large, or nested too deep, to be judged by the tool's input schema; send less."
            )
        return misfit(judge, schema, arguments)


def misfit(judge: jsonschema_rs.Draft202012Validator, schema: JsonObject, arguments: JsonObject) -> str | None:
    """Which arguments do not fit, and why: without a value of them. None where they fit. `judge` is of `schema`."""
    try:
        if judge.is_valid(arguments):
            return None
        return (
            "These arguments do not fit the tool's input schema: " + "; ".join(_faults(judge, schema, arguments)) + "."
        )
    except UnicodeEncodeError:
        return "These arguments hold half of a character (a lone surrogate), which is no text."


def _faults(judge: jsonschema_rs.Draft202012Validator, schema: JsonObject, arguments: JsonObject) -> list[str]:
    if weighing.weight(schema, arguments, _EXPLAINED) > _EXPLAINED:
        return _coarse(schema, arguments)
    found: list[str] = []
    for fault in judge.iter_errors(arguments):
        where = ".".join(str(step) for step in fault.instance_path)[:_LONGEST]
        found.append((f"`{where}`: " if where else "") + fault.message[:_LONGEST])
        if len(found) == _SHOWN:
            break
    return found


def _coarse(schema: JsonObject, arguments: JsonObject) -> list[str]:
    """Which arguments do not fit, of some that are so large that all their faults are too many to be looked for."""
    apart: JsonObject = {key: schema[key] for key in ("$schema", "$defs", "definitions") if key in schema}
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    wrong = [
        f"`{name}`: it does not fit, and is too large for the shim to say where"
        for name in known
        if name in arguments and not compiled({**apart, "properties": {name: known[name]}}).is_valid(arguments)
    ]
    return wrong[:_SHOWN] or ["one is missing, or there is none of that name, or they do not fit together"]
