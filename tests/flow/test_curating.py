"""Tools as clients see them, and what goes into their calls."""

from __future__ import annotations

import pytest

from shim import jsontext
from shim.catalog import Catalog
from shim.curating import Curation, Idle, ToolBlock
from shim.model import Json, JsonObject, Offer, Tool
from shim.policy.config import GrantBlock
from shim.policy.engine import Policy


def tool(name: str, *properties: str, **more: Json) -> JsonObject:
    return {"name": name, "inputSchema": {"type": "object", "properties": dict.fromkeys(properties, True), **more}}


def contents(blocks: dict[str, JsonObject], *tools: JsonObject) -> Catalog:
    offer = Offer("up", "modern", "2026-07-28", {}, {}, None, tools)
    return Catalog(
        [("up", "up__")], {"up": offer}, Curation({key: ToolBlock(**block) for key, block in blocks.items()})
    )


def one(blocks: dict[str, JsonObject], definition: JsonObject) -> Tool:
    (found,) = contents(blocks, definition).now.tools
    return found


def test_clients_see_a_tool_without_what_is_fixed_and_its_digest_is_of_what_they_see() -> None:
    definition = tool("a", "key", "text", required=["key"])
    seen = one({"up/*": {"fixed": {"key": 1}}}, definition)
    assert seen.definition == tool("a", "text", required=[])
    assert seen.digest == jsontext.digest(seen.definition)
    assert seen.fixed is not None
    assert (seen.fixed.own.definition, seen.fixed.own.digest) == (definition, jsontext.digest(definition))
    assert one({"up/*": {"fixed": {"key": 2}}}, definition).digest == seen.digest
    assert one({"up/b*": {"fixed": {"key": 1}}}, definition).fixed is None


def test_a_later_pattern_adds_and_of_one_argument_its_value_holds() -> None:
    blocks: dict[str, JsonObject] = {
        "up/*": {"fixed": {"a": 1, "b": 1}, "meta": {"m": 1, "n": 1}},
        "up/t": {"fixed": {"b": 2}, "meta": {"n": 2}},
    }
    fixed = one(blocks, tool("t", "a", "b")).fixed
    assert fixed is not None
    assert (fixed.arguments, fixed.meta) == ({"a": 1, "b": 2}, {"m": 1, "n": 2})


@pytest.mark.parametrize(
    ("definition", "sent"),
    [
        (tool("t", "key"), True),
        (tool("t", "other"), False),
        (tool("t"), False),
        (tool("t", "other", additionalProperties=True), True),
        ({"name": "t", "inputSchema": {"type": "object"}}, True),
    ],
)
def test_what_is_fixed_goes_to_tools_that_have_it_and_is_refused_of_callers_by_all(
    definition: JsonObject, sent: bool
) -> None:
    fixed = one({"up/*": {"fixed": {"key": 1}}}, definition).fixed
    assert fixed is not None
    assert ("key" in fixed.arguments) is sent
    assert not fixed.admits({"key": 1})
    assert fixed.admits({})


def test_what_is_hidden_is_refused_as_what_the_tool_does_not_have_is() -> None:
    fixed = one({"up/*": {"fixed": {"key": 1}}}, tool("t", "key", "text")).fixed
    assert fixed is not None
    assert [fixed.admits({name: 1}) for name in ("text", "key", "none")] == [True, False, False]
    # A tool of which only `_meta` is filled takes what it takes.
    fixed = one({"up/*": {"meta": {"m": 1}}}, tool("t", "key", "text")).fixed
    assert fixed is not None
    assert fixed.admits({"none": 1})


def test_a_tool_that_would_still_name_the_argument_is_left_out_and_reported() -> None:
    bad = tool("bad", "key", propertyNames={"enum": ["key"]})
    now = contents({"up/*": {"fixed": {"key": 1}}}, bad, tool("good", "key")).now
    assert [each.name for each in now.tools] == ["good"]
    assert [(out.name, out.why) for out in now.left_out] == [
        ("bad", "an argument that is `fixed` cannot be hidden: its input schema names it in `propertyNames`")
    ]


def test_what_is_fixed_for_no_tool_is_said_of_patterns_that_match_some() -> None:
    blocks: dict[str, JsonObject] = {
        "up/a": {"fixed": {"x": 1, "none": 1}},
        "up/*": {"fixed": {"y": 1}},
        "up/c": {"fixed": {"z": 1}},
    }
    catalog = contents(blocks, tool("a", "x"), tool("b"))
    assert list(catalog.curation.idle(catalog.now.offered)) == [Idle("up/a", "none", 1), Idle("up/*", "y", 2)]


@pytest.mark.parametrize(
    "key",
    [
        "progressToken",
        "traceparent",
        "io.modelcontextprotocol/x",
        "dev.mcp/x",
        "mcp/x",
        "io.github.mcp-shim/x",
        "a b",
        "",
        "/a",
    ],
)
def test_members_of_meta_that_belong_to_the_protocol_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="_meta"):
        ToolBlock(meta={key: 1})


@pytest.mark.parametrize("key", ["token", "com.example/token", "com.example.mcp/x", "a.b_c-d"])
def test_members_of_meta_that_are_the_upstreams_own_are_taken(key: str) -> None:
    assert ToolBlock(meta={key: 1}).meta == {key: 1}


def test_a_condition_on_a_hidden_argument_is_a_fault_as_on_one_that_is_not_there() -> None:
    now = contents({"up/*": {"fixed": {"key": 1}}}, tool("t", "key", "text")).now
    grants = [GrantBlock(name=name, to=("*",), allow=("up/t",), when=f"args.{name} == 'x'") for name in ("key", "text")]
    assert [grant for grant, _ in Policy(grants).lint(now.offered)] == ["key"]


def test_values_are_not_shown() -> None:
    block = ToolBlock(fixed={"key": "canary"}, meta={"m": "canary"})
    seen = one({"up/*": {"fixed": {"key": "canary"}, "meta": {"m": "canary"}}}, tool("t", "key"))
    assert "canary" not in repr(block) + repr(seen)
