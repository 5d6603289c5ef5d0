"""Judging arguments: what is said of them, and that nothing makes it take long."""

from __future__ import annotations

import time

import pytest

from shim.model import JsonObject, Tool
from shim.upstream.arguments import Judge

SOON = 1.0
"""Seconds, of which these take a few hundredths; judged one by one they would take from half a minute to hours."""


def tool(properties: JsonObject, **more: JsonObject) -> Tool:
    schema: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    return Tool("u", "t", "u__t", {"name": "t", "inputSchema": schema}, "digest")


def doubled(keyword: str) -> Tool:
    """Each of its schemas refers to the next one twice."""
    named: JsonObject = {f"s{at}": {keyword: [{"$ref": f"#/$defs/s{at + 1}"}] * 2} for at in range(40)}
    return tool({"x": {"$ref": "#/$defs/s0"}}, **{"$defs": {**named, "s40": {"type": "string"}}})


def expressions() -> Tool:
    """As filters of real services are: either of two, each with more of the same within."""
    both = [{"required": ["op"], "properties": {"of": {"$ref": "#/$defs/e"}, "op": {"const": op}}} for op in "ab"]
    return tool({"x": {"$ref": "#/$defs/e"}}, **{"$defs": {"e": {"anyOf": both}}})


def judged(of: Tool, arguments: JsonObject) -> str | None:
    began = time.monotonic()
    why = Judge().misfit(of, arguments)
    assert time.monotonic() - began < SOON
    return why


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
@pytest.mark.parametrize("value", ["text", [1]])
def test_a_schema_that_expands_does_not_keep_the_shim_busy(keyword: str, value: object) -> None:
    assert "too large, or nested too deep" in (judged(doubled(keyword), {"x": value}) or "")


def test_alternatives_within_alternatives_do_not_either() -> None:
    value: JsonObject = {"op": "a"}
    for _ in range(4):
        value = {"op": "b", "of": value}
    assert judged(expressions(), {"x": value}) is None
    for _ in range(50):
        value = {"op": "c", "of": value}
    assert "too large, or nested too deep" in (judged(expressions(), {"x": value}) or "")


def test_many_faults_are_not_looked_for_one_by_one() -> None:
    one = tool({"x": {"anyOf": [{"items": {"type": "string"}}, {"type": "null"}]}, "y": {"type": "integer"}})
    assert judged(one, {"x": ["a"] * 100_000}) is None
    why = judged(one, {"x": [0] * 100_000, "y": 1})
    assert "`x`: it does not fit" in (why or "")
    assert "`y`" not in (why or "")
    assert "there is none of that name" in (judged(one, {"x": ["a"] * 100_000, "z": 1}) or "")


def test_of_few_it_is_said_what_is_wrong_with_each() -> None:
    one = tool({"x": {"type": "array", "items": {"type": "string"}}, "y": {"type": "integer"}})
    why = judged(one, {"x": [0], "y": "canary"}) or ""
    assert "`x.0`: " in why
    assert "`y`: " in why
    assert "canary" not in why
