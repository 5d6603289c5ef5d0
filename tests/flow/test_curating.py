"""Tools as clients see them, and what goes into their calls."""

from __future__ import annotations

import pytest

from shim import jsontext, templates
from shim.catalog import Catalog
from shim.curating import Curation, Idle, Misfit, ToolBlock, Unmatched
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
        ("bad", "an argument of it cannot be hidden: its input schema names it in `propertyNames`")
    ]


def test_what_is_fixed_for_no_tool_is_said_and_a_pattern_that_matches_none() -> None:
    blocks: dict[str, JsonObject] = {
        "up/a": {"fixed": {"x": 1, "none": 1}},
        "up/*": {"fixed": {"y": 1}},
        "up/c": {"fixed": {"z": 1}},
        "up/d": {"timeout": 1.0},
        "other/*": {"fixed": {"z": 1}},
    }
    catalog = contents(blocks, tool("a", "x"), tool("b"))
    found = list(catalog.curation.lint(catalog.now.offered, left_out=["up/d"]))
    # Of `other` nothing is known.
    assert found == [Unmatched("up/c"), Idle("up/a", "none", 1), Idle("up/*", "y", 2)]
    assert [str(one).partition(":")[0] for one in found] == [
        "`up/c` matches no tool that is known now",
        "`up/a` fixes 'none', and the tool has no such argument",
        "`up/*` fixes 'y', and none of 2 tools has such an argument",
    ]


def test_a_tool_is_called_and_described_as_the_operator_says_and_keeps_its_real_name() -> None:
    seen = one({"up/a*": {"rename": "read.one", "description": "Reads."}}, {**tool("ab", "x"), "description": "Old."})
    assert (seen.wire, seen.name, seen.ref) == ("up__read.one", "ab", "up/ab")
    assert seen.definition["description"] == "Reads."
    assert seen.digest == jsontext.digest(seen.definition)
    assert seen.fixed is not None
    assert seen.fixed.own.definition["description"] == "Old."
    assert seen.fixed.admits({"anything": 1})


def test_of_what_two_patterns_say_the_later_holds() -> None:
    blocks: dict[str, JsonObject] = {
        "up/*": {"description": "all", "timeout": 9.0, "hide": ["x"]},
        "up/t": {"rename": "first", "timeout": 3.0, "hide": ["y"]},
        "up/?": {"rename": "second"},
    }
    seen = one(blocks, tool("t", "x", "y", "z"))
    assert (seen.wire, seen.definition["description"], seen.timeout) == ("up__second", "all", 3.0)
    assert seen.fixed is not None
    assert seen.fixed.own.timeout == 3.0
    assert list(seen.definition["inputSchema"]["properties"]) == ["z"]


def left_out(catalog: Catalog) -> dict[str, str]:
    return {out.name: out.why for out in catalog.now.left_out}


def test_no_tool_gets_a_name_that_is_meant_for_another() -> None:
    # A pattern that renames two renames none: the second may have come for the name of the first.
    both = contents({"up/send_*": {"rename": "send"}}, tool("send_all"), tool("send_one"), tool("read"))
    assert list(both.now.by_wire) == ["up__read"]
    why = "`up/send_*` renames 2 tools to send; write a pattern for one of them"
    assert left_out(both) == {"send_all": why, "send_one": why}
    # An upstream's own name gives way to one that the operator gave, wherever it stands in the order.
    for other in ("a", "z"):
        now = contents({"up/m": {"rename": other}}, tool("m"), tool(other))
        assert {wire: each.name for wire, each in now.now.by_wire.items()} == {f"up__{other}": "m"}
        assert left_out(now) == {other: f"its wire name up__{other} is that of up/m, which is renamed so"}
    # A later pattern that says else makes it one again, and two tools may change their names.
    swapped = contents({"up/*": {"rename": "b"}, "up/b": {"rename": "a"}}, tool("a"), tool("b"))
    assert {wire: each.name for wire, each in swapped.now.by_wire.items()} == {"up__b": "a", "up__a": "b"}


def test_the_name_of_another_upstream_configured_first_is_kept() -> None:
    offers = {
        name: Offer(name, "modern", "2026-07-28", {}, {}, None, (definition,))
        for name, definition in (("one", tool("t")), ("two", tool("x")))
    }
    catalog = Catalog([("one", ""), ("two", "")], offers, Curation({"two/x": ToolBlock(rename="t")}))
    assert {wire: each.ref for wire, each in catalog.now.by_wire.items()} == {"t": "one/t"}
    assert left_out(catalog) == {"x": "its wire name t is already taken by one/t"}


@pytest.mark.parametrize(
    ("block", "shown", "sent"),
    [
        # Hidden without a value: never sent. With one: always.
        ({"hide": ["key"]}, tool("t", "text"), {}),
        ({"hide": ["key"], "default": {"key": 1}}, tool("t", "text"), {"key": 1}),
        ({"hide": ["key"], "fixed": {"key": 2}, "default": {"text": 1}}, tool("t", "text"), {"key": 2}),
        ({"hide": ["key", "text"]}, tool("t"), {}),
    ],
)
def test_a_hidden_argument_is_not_shown_and_refused_of_callers(
    block: JsonObject, shown: JsonObject, sent: JsonObject
) -> None:
    seen = one({"up/t": block}, tool("t", "key", "text"))
    assert seen.definition == shown
    assert seen.fixed is not None
    assert seen.fixed.arguments == sent
    assert [seen.fixed.admits({name: 1}) for name in ("key", "none")] == [False, False]


def test_an_argument_that_has_to_be_there_cannot_be_hidden_without_a_value() -> None:
    required = tool("t", "key", required=["key"])
    now = contents({"up/t": {"hide": ["key"]}}, required)
    assert now.now.tools == ()
    assert left_out(now) == {
        "t": "an argument of it cannot be hidden: it has to be there; give it a value under `fixed` or `default`"
    }
    seen = one({"up/t": {"hide": ["key"], "default": {"key": 1}}}, required)
    assert seen.definition == tool("t", required=[])


def test_an_argument_with_a_default_need_not_be_sent_and_says_what_it_is_then() -> None:
    definition = tool("t", "any", required=["a", "b"])
    definition["inputSchema"]["properties"] |= {"a": {"type": "integer"}, "b": {"type": "string", "default": "old"}}
    seen = one({"up/t": {"default": {"a": 5, "b": "new", "any": None, "none": 1}}}, definition)
    schema = seen.definition["inputSchema"]
    assert schema["required"] == []
    assert schema["properties"] == {
        "any": True,
        "a": {"type": "integer", "default": 5},
        "b": {"type": "string", "default": "new"},
    }
    assert seen.fixed is not None
    assert seen.fixed.defaults == {"a": 5, "b": "new", "any": None}
    assert seen.fixed.admits({"a": 7})
    assert definition["inputSchema"]["required"] == ["a", "b"]


def test_a_default_for_what_is_fixed_never_counts_and_is_refused() -> None:
    with pytest.raises(ValueError, match="`default` gives 'a' a value that never counts"):
        ToolBlock(default={"a": 1}, fixed={"a": 2})


def test_what_is_hidden_or_given_for_no_tool_is_said() -> None:
    catalog = contents({"up/*": {"hide": ["x", "none"], "default": {"y": 1, "no": 2}}}, tool("a", "x"), tool("b", "y"))
    assert list(catalog.curation.lint(catalog.now.offered)) == [
        Idle("up/*", "none", 2, "hides"),
        Idle("up/*", "no", 2, "defaults"),
    ]


def test_values_that_a_tool_does_not_take_are_said_without_them() -> None:
    definition = tool("t", "any", **{"$defs": {"N": {"type": "integer", "maximum": 5}}})
    definition["inputSchema"]["properties"] |= {"n": {"$ref": "#/$defs/N"}, "s": {"type": "string"}}
    blocks: dict[str, JsonObject] = {
        "up/*": {"fixed": {"n": "canary", "any": [1], "s": f"x{templates.place('key')}"}},
        "up/t": {"default": {"n": 6, "s": "fine"}, "timeout": 3.0},
    }
    catalog = contents(blocks, definition)
    found = [one for one in catalog.curation.lint(catalog.now.offered) if isinstance(one, Misfit)]
    assert [(one.pattern, one.argument, one.tool, one.what) for one in found] == [
        ("up/*", "n", "up/t", "fixes"),
        ("up/t", "n", "up/t", "defaults"),
    ]
    assert "canary" not in "".join(map(str, found))


@pytest.mark.parametrize("value", [2**64, 10**4000, -0.0, "\ud800", "a\0b", {"\udfff": [None]}])
def test_values_at_the_edges_are_judged(value: Json) -> None:
    definition = tool("t")
    definition["inputSchema"]["properties"]["x"] = {"type": ["integer", "string", "object", "number"]}
    catalog = contents({"up/t": {"default": {"x": value}}}, definition)
    assert [*catalog.curation.lint(catalog.now.offered)] == []


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
