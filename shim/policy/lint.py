"""What is questionable in grants, seen beside what is offered now.

What depends on an upstream's schema never stops a start: it is reported, and fails closed at the call.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cel_expr_python import cel

from shim.model import Json, JsonObject, Offered
from shim.policy.check import Fault
from shim.policy.conditions import VARIABLES, Condition, ConditionError, compile_in
from shim.policy.config import GrantBlock
from shim.policy.patterns import Pattern
from shim.policy.tree import ArgUse

_T = cel.Type
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_NAMED = 3
_COMPARED = 200
_MAX_BRANCHING = 8


def lint(
    grants: Iterable[GrantBlock], conditions: Mapping[str, Condition], offered: Iterable[Offered]
) -> list[tuple[str, Fault]]:
    """Faults of usable grants beside what is known to be offered, each with its grant's name, in file order.

    `conditions` holds the compiled form of each `when`. A definition is as its upstream wrote it: nothing of its shape
    is taken for granted.
    """
    known = tuple(offered)
    found: list[tuple[str, Fault]] = []
    seen = _Seen(known)
    for grant in grants:
        faults = _of_patterns(grant, seen)
        if grant.when is not None:
            condition = conditions[grant.when]
            patterns = [Pattern.of(pattern) for pattern in (*grant.allow, *grant.deny)]
            matching = [one for one in known if any(pattern.allows(one.ref) for pattern in patterns)]
            faults += _undeclared(condition, matching)
            faults += _mistyped(condition, matching)
        found += [(grant.name, fault) for fault in faults]
    return found


class _Seen:
    """What is known now, by name."""

    def __init__(self, offered: Sequence[Offered]) -> None:
        self._refs: dict[str, dict[str, None]] = {"tool": {}, "prompt": {}, "resource": {}, "template": {}}
        for one in offered:
            self._refs[one.kind][one.ref] = None
        self._upstreams = frozenset(one.upstream for one in offered)

    def lacks(self, pattern: Pattern) -> bool:
        # Only where the pattern's upstream has shown what it has: one that is down says nothing about a pattern.
        upstream, slash, _ = pattern.glob.prefix.partition("/")
        if not slash or upstream not in self._upstreams:
            return False
        refs = self._refs[pattern.kind]
        if pattern.glob.literal is not None and pattern.kind == "tool":
            return pattern.glob.literal not in refs
        known = (*refs, *self._refs["template"]) if pattern.kind == "resource" else refs
        return not any(map(pattern.allows, known))


def _of_patterns(grant: GrantBlock, seen: _Seen) -> list[Fault]:
    if not grant.allow and not grant.deny:
        # A list that was written and left empty waits to be filled; nothing at all is a slip.
        waits = bool(grant.model_fields_set & {"allow", "deny"})
        return [] if waits else [Fault((), None, "neither allows nor denies anything", "warning")]
    faults = []
    if not grant.to:
        faults.append(Fault((), None, "is for nobody: `to` is empty", "warning"))
    for effect, patterns in (("allow", grant.allow), ("deny", grant.deny)):
        for place, pattern in enumerate(patterns):
            compiled = Pattern.of(pattern)
            if seen.lacks(compiled):
                message = f"`{pattern}` matches no {compiled.kind} that is known now"
                faults.append(Fault((effect, place), None, message, "warning"))
    return faults


def _schema(one: Offered) -> Json:
    """What declares the arguments that a condition sees: a tool's own schema, what a prompt lists, a resource's URI."""
    if one.kind == "tool":
        return one.definition.get("inputSchema")
    if one.kind != "prompt":
        return {"properties": {"uri": {"type": "string"}}}
    listed = one.definition.get("arguments")
    names = [entry.get("name") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return {"properties": {name: {"type": "string"} for name in names if isinstance(name, str)}}


def _properties(one: Offered) -> JsonObject:
    schema = _schema(one)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}


def _what(matching: Sequence[Offered]) -> str:
    kinds = dict.fromkeys("resource" if one.kind == "template" else one.kind for one in matching)
    return next(iter(kinds)) if len(kinds) == 1 else "tool, prompt or resource"


_ELSEWHERE = ("$ref", "$dynamicRef", "patternProperties")
_BRANCHES = ("allOf", "anyOf", "oneOf")
_BRANCH = ("if", "then", "else", "not")


def _is_open(schema: Json, depth: int = 0) -> bool:
    """Whether arguments may be declared elsewhere than in `properties`, or need not be declared."""
    if not isinstance(schema, dict) or depth > _MAX_BRANCHING:
        return True
    if schema.get("additionalProperties", False) is not False or any(schema.get(key) for key in _ELSEWHERE):
        return True
    branches = [schema[key] for key in _BRANCH if key in schema]
    for key in _BRANCHES:
        branches += schema[key] if isinstance(schema.get(key), list) else []
    dependent = schema.get("dependentSchemas")
    branches += dependent.values() if isinstance(dependent, dict) else []
    return any(
        isinstance(branch, dict) and ("properties" in branch or _is_open(branch, depth + 1)) for branch in branches
    )


def _names_of(tools: Sequence[Offered]) -> str:
    more = f" and {len(tools) - _NAMED} more" if len(tools) > _NAMED else ""
    return ", ".join(tool.ref for tool in tools[:_NAMED]) + more


def _undeclared(condition: Condition, matching: Sequence[Offered]) -> list[Fault]:
    strict = [tool for tool in matching if _properties(tool) and not _is_open(_schema(tool))]
    uses: dict[str, ArgUse] = {}
    for use in condition.uses.args:
        uses.setdefault(use.name, use)
    found = []
    for name, use in uses.items():
        lacking = [tool for tool in strict if name not in _properties(tool)]
        if not lacking:
            continue
        if len(lacking) == len(matching):
            names = sorted({one for tool in lacking for one in _properties(tool) if _NAME.fullmatch(one)})
            close = difflib.get_close_matches(name[:64], names[:_COMPARED], n=1)
            hint = f"; did you mean `{close[0]}`?" if close else ""
            message = (
                f"no {_what(lacking)} that this grant matches has an argument `{name}` ({_names_of(lacking)}){hint}"
            )
            found.append(Fault(("when",), use.offset, message, "error"))
        else:
            message = (
                f"only some of the matching {_what(matching)}s have an argument `{name}`; not {_names_of(lacking)}"
            )
            found.append(Fault(("when",), use.offset, message, "warning"))
    return found


def _type_of(schema: Json) -> str | None:
    """What the values of a property certainly are: `string`, `boolean`, `array`, `array of string`, `object`."""
    if not isinstance(schema, dict):
        return None
    kind = schema.get("type")
    # A number is left open: CEL's checker keeps whole numbers and fractions apart, its evaluator compares them.
    if kind == "array":
        items = schema.get("items")
        strings = isinstance(items, dict) and items.get("type") == "string"
        return "array of string" if strings else "array"
    return kind if kind in ("string", "boolean", "object") else None


_CEL_TYPES = {
    "string": _T.STRING,
    "boolean": _T.BOOL,
    "array": _T.List(_T.DYN),
    "array of string": _T.List(_T.STRING),
    "object": _T.Map(_T.STRING, _T.DYN),
}


def _typed(condition: Condition, types: dict[str, str]) -> tuple[Any, str]:
    """An environment in which the arguments have their types, and the text that uses it.

    `args.x` becomes the variable `args_x`, which is as long, so that the compiler's places stay right.
    """
    text = list(condition.text)
    variables = dict(VARIABLES)
    taken = {name for name, _ in condition.uses.bound}
    for use in condition.uses.args:
        kind, dot = types.get(use.name), use.dot
        if kind is None or dot is None or f"args_{use.name}" in taken:
            continue
        if dot == use.offset + 4 and condition.text.startswith(use.name, dot + 1) and _NAME.fullmatch(use.name):
            text[dot] = "_"
            variables[f"args_{use.name}"] = _CEL_TYPES[kind]
    return cel.NewEnv(variables=variables), "".join(text)


# Comparing with null and choosing between values of two types have a meaning that the checker denies to typed values.
_HARMLESS = ("null_type", "'_?_:_'")


def _mistyped(condition: Condition, matching: Sequence[Offered]) -> list[Fault]:
    names = sorted({use.name for use in condition.uses.args})
    by_types: dict[tuple[tuple[str, str], ...], list[Offered]] = {}
    for tool in matching:
        properties = _properties(tool)
        types = tuple((name, kind) for name in names if (kind := _type_of(properties.get(name))) is not None)
        by_types.setdefault(types, []).append(tool)
    wrong: dict[tuple[int | None, str], list[Offered]] = {}
    for types, tools in by_types.items():
        if not types:
            continue
        try:
            compile_in(*_typed(condition, dict(types)))
        except ConditionError as error:
            for fault in error.faults:
                if not any(harmless in fault.message for harmless in _HARMLESS):
                    wrong.setdefault((fault.offset, fault.message), []).extend(tools)
    return [
        Fault(
            ("when",),
            offset,
            f"{message}, by the types that the arguments of {_names_of(tools)} have",
            "error" if len(tools) == len(matching) else "warning",
        )
        for (offset, message), tools in wrong.items()
    ]
