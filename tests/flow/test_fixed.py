"""What goes into a call right before it is sent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shim import fixed, templates
from shim.curating import Curation, ToolBlock
from shim.errors import SecretUnavailable
from shim.lending import Leased, Need
from shim.model import Call, Caller, Credential, Identity, Json, JsonObject, Tool

CALLER = Caller(Credential(Identity("ann"), "local"), "cli", "2026-07-28")
KEY, USER = templates.place("key"), templates.place("desk.user")


def call(method: str = "tools/call", bind: tuple[tuple[str, str], ...] = ()) -> Call:
    return Call("i", CALLER, "r", method, "up/t", "up", {}, datetime.now(UTC), "p", bind=bind)


def tool(**block: Json) -> Tool:
    definition: JsonObject = {"name": "t", "inputSchema": {"type": "object", "properties": {"a": True, "own": True}}}
    return Curation({"up/t": ToolBlock(**block)}).of(Tool("up", "t", "up__t", definition, "d"))


def leased(**values: str) -> Leased:
    return Leased(values)


def test_what_is_needed_travels_with_the_call_and_other_secrets_may_stand_behind_its_names() -> None:
    one = tool(fixed={"a": [{"x": f"{KEY} {USER}"}, KEY]}, meta={"m": KEY, "n": 1})
    key = Need("key", "key", travels=True)
    assert fixed.needs(call(), one) == (key, Need("desk.user", "desk", "user", travels=True))
    bound = call(bind=(("desk", "his"),))
    assert fixed.needs(bound, one) == (key, Need("desk.user", "his", "user", travels=True))


def test_each_place_is_filled_once_and_what_the_caller_sent_stays() -> None:
    one = tool(fixed={"a": [{"x": f"<{KEY}>"}, None, 2**64]}, meta={"m": KEY})
    params: JsonObject = {"name": "t", "arguments": {"own": f"{KEY} ${{secret:key}}"}, "_meta": {"m": "mine", "n": 1}}
    before = repr(params)
    target, sent = fixed.filled(call(), one, params, leased(key="v${secret:key}"))
    assert sent["arguments"] == {"own": f"{KEY} ${{secret:key}}", "a": [{"x": "<v${secret:key}>"}, None, 2**64]}
    assert sent["_meta"] == {"m": "v${secret:key}", "n": 1}
    assert list(target.definition["inputSchema"]["properties"]) == ["a", "own"]
    assert repr(params) == before


@pytest.mark.parametrize("arguments", [{}, {"arguments": None}])
def test_a_call_without_arguments_gets_them(arguments: JsonObject) -> None:
    _, sent = fixed.filled(call(), tool(fixed={"a": 1}), {"name": "t", **arguments}, leased())
    assert sent == {"name": "t", "arguments": {"a": 1}}


@pytest.mark.parametrize(
    ("theirs", "sent"),
    [
        ({}, {"a": 1, "b": {"c": 2}, "f": 3}),
        ({"a": None}, {"a": None, "b": {"c": 2}, "f": 3}),
        ({"b": {}}, {"a": 1, "b": {}, "f": 3}),
    ],
)
def test_a_default_is_sent_where_the_caller_leaves_the_argument_out(theirs: JsonObject, sent: JsonObject) -> None:
    one = Curation({"up/t": ToolBlock(default={"a": 1, "b": {"c": 2}}, fixed={"f": 3})}).of(
        Tool("up", "t", "up__t", {"name": "t", "inputSchema": {"type": "object"}}, "d")
    )
    _, params = fixed.filled(call(), one, {"name": "t", "arguments": theirs}, leased())
    assert params["arguments"] == sent
    _, params = fixed.filled(call("tasks/get"), one, {"taskId": "1"}, leased())
    assert params == {"taskId": "1"}


def test_what_is_asked_of_a_task_gets_the_members_of_meta_alone() -> None:
    one = tool(fixed={"a": KEY}, meta={"m": USER})
    assert [need.reference for need in fixed.needs(call("tasks/get"), one)] == ["desk.user"]
    _, sent = fixed.filled(call("tasks/get"), one, {"taskId": "1"}, leased(**{"desk.user": "v"}))
    assert sent == {"taskId": "1", "_meta": {"m": "v"}}


@pytest.mark.parametrize("value", ["canary\0", "\ud800canary"])
def test_a_value_that_is_no_text_is_refused_without_being_told(value: str) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        fixed.filled(call(), tool(fixed={"a": {"deep": f"x {KEY}"}}), {"name": "t"}, leased(key=value))
    assert caught.value.name == "key"
    assert "canary" not in caught.value.detail


def test_a_tool_of_which_nothing_is_said_is_left_alone() -> None:
    one, params = Tool("up", "t", "up__t", {}, "d"), {"name": "t"}
    assert fixed.needs(call(), one) == ()
    target, sent = fixed.filled(call(), one, params, leased())
    assert target is one
    assert sent is params
