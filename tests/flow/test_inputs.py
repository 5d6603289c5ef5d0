"""Input schemas without some of their arguments."""

from __future__ import annotations

import importlib
from itertools import product

import pytest

from shim import inputs
from shim.inputs import CannotHide
from shim.model import Json, JsonObject

# It comes with the MCP SDK and has no types of its own.
Draft202012Validator = importlib.import_module("jsonschema").Draft202012Validator

NAMES = frozenset({"key"})
TEXT = {"type": "string"}


def schema(**more: Json) -> JsonObject:
    return {"type": "object", "properties": {"key": TEXT, "a": TEXT}, **more}


def without(given: JsonObject) -> JsonObject:
    return inputs.without(given, NAMES)


BARE: JsonObject = {"type": "object", "properties": {"a": TEXT}}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (schema(), BARE),
        (schema(required=["key", "a"]), {**BARE, "required": ["a"]}),
        (schema(additionalProperties=False), {**BARE, "additionalProperties": False}),
        (schema(default={"key": "k", "a": "x"}), {**BARE, "default": {"a": "x"}}),
        (schema(examples=[{"key": "k"}, {"a": "x"}]), {**BARE, "examples": [{}, {"a": "x"}]}),
        (schema(**{"x-order": ["key", "a"]}), {**BARE, "x-order": ["a"]}),
        (schema(minProperties=2), BARE),
        (
            schema(dependentRequired={"key": ["a"], "a": ["key"]}),
            {**BARE, "dependentRequired": {"a": []}, "required": ["a"]},
        ),
        (
            schema(dependentSchemas={"key": {"required": ["a", "key"]}}),
            {**BARE, "dependentSchemas": {}, "allOf": [{"required": ["a"]}]},
        ),
        (schema(allOf=[{"properties": {"key": {"minLength": 3}}}]), {**BARE, "allOf": [{"properties": {}}]}),
        (
            schema(anyOf=[{"required": ["key"]}, {"required": ["a"]}]),
            {**BARE, "anyOf": [{"required": []}, {"required": ["a"]}]},
        ),
        (schema(then={"properties": {"key": {"minLength": 3}}}), {**BARE, "then": {"properties": {}}}),
        # What an argument holds is its own business.
        (
            {"type": "object", "properties": {"key": TEXT, "a": schema()}},
            {"type": "object", "properties": {"a": schema()}},
        ),
        # A definition that another argument leads to as well stays as it is for that one.
        (
            {"type": "object", "$ref": "#/$defs/A", "$defs": {"A": schema(), "B": TEXT}},
            {"type": "object", "allOf": [BARE]},
        ),
        (
            {"allOf": [{"$ref": "#/$defs/A"}], "properties": {"b": {"$ref": "#/$defs/A"}}, "$defs": {"A": schema()}},
            {"allOf": [{"allOf": [BARE]}], "properties": {"b": {"$ref": "#/$defs/A"}}, "$defs": {"A": schema()}},
        ),
        # What only the argument led to, goes with it; what leads on from elsewhere stays.
        (
            schema(properties={"key": {"$ref": "#/$defs/K"}, "a": {"$ref": "#/$defs/A~1"}})
            | {"$defs": {"K": {"$ref": "#/$defs/L"}, "L": TEXT, "A/": {"$ref": "#/$defs/B"}, "B": TEXT}},
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/A~1"}}}
            | {"$defs": {"A/": {"$ref": "#/$defs/B"}, "B": TEXT}},
        ),
    ],
)
def test_an_argument_is_taken_out_wherever_the_schema_names_it(given: JsonObject, shown: JsonObject) -> None:
    before = repr(given)
    assert without(given) == shown
    assert repr(given) == before


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (schema(oneOf=[{"properties": {"key": {"const": "x"}}}, {"required": ["a"]}]), "depend on its value"),
        (schema(anyOf=[{"properties": {"key": {"const": "x"}}}]), "depend on its value"),
        (schema(**{"if": {"properties": {"key": {"const": "x"}}}}), "depend on its value"),
        (schema(**{"not": {"properties": {"key": {"const": "x"}}}}), "depend on its value"),
        (schema(**{"not": {"maxProperties": 1}}), "counts arguments in `maxProperties`"),
        (schema(propertyNames={"enum": ["key", "a"]}), "names it in `propertyNames`"),
        (schema(enum=[{"key": "x"}]), "names it in `enum`"),
        ({"type": "object", "$ref": "https://example.com/a"}, "refers to 'https://example.com/a', which is not in it"),
        ({"type": "object", "$ref": "#/$defs/none"}, "refers to '#/$defs/none', which is not in it"),
        ({"type": "object", "$dynamicRef": "#x"}, "may lead anywhere"),
        ({"type": "object", "allOf": [{"$ref": "#"}]}, "refers to itself"),
        (schema(properties={"key": TEXT, "child": {"$ref": "#"}}), "from elsewhere"),
        (schema(properties={"key": TEXT, "a": {"$ref": "#/properties/key"}}), "from elsewhere"),
    ],
)
def test_what_cannot_be_hidden_honestly_is_said(given: JsonObject, why: str) -> None:
    with pytest.raises(CannotHide, match="input schema") as caught:
        without(given)
    assert why in str(caught.value)


def test_a_schema_that_has_no_such_argument_stays_the_very_same() -> None:
    given: JsonObject = {"type": "object", "properties": {"a": TEXT}, "$defs": {"unused": TEXT}}
    assert without(given) is given


KEY: JsonObject = {"key": "v"}
CONDITIONS: list[JsonObject] = [
    {"required": ["key"]},
    {"required": ["a"]},
    {"required": ["key", "a"]},
    {"dependentRequired": {"key": ["a"]}},
    {"dependentRequired": {"a": ["key", "b"]}},
    {"dependentSchemas": {"key": {"required": ["b"]}}},
    {"not": {"required": ["key"]}},
    {"properties": {"key": True}, "required": ["b"]},
]


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf", "if"])
def test_what_is_shown_takes_what_the_tool_takes_with_the_argument_put_in(keyword: str) -> None:
    for one, other in product(CONDITIONS, repeat=2):
        more: JsonObject = (
            {"if": one, "then": other, "else": {"not": other}} if keyword == "if" else {keyword: [one, other]}
        )
        given = schema(**more)
        whole, shown = Draft202012Validator(given), Draft202012Validator(without(given))
        for arguments in ({}, {"a": "x"}, {"b": 1}, {"a": "x", "b": 1}):
            assert shown.is_valid(arguments) == whole.is_valid(arguments | KEY), (given, arguments)


LEFT_OUT: list[JsonObject] = [
    *CONDITIONS,
    {"properties": {"key": {"const": "x"}}},
    {"properties": {"key": TEXT, "b": {"type": "integer"}}},
    {"minProperties": 2},
    {"dependentSchemas": {"a": {"properties": {"key": False}, "required": ["b"]}}},
]


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf", "not", "if"])
def test_what_is_shown_takes_what_the_tool_takes_without_the_argument(keyword: str) -> None:
    checked = 0
    for one, other in product(LEFT_OUT, repeat=2):
        more: JsonObject = {keyword: [one, other]}
        if keyword == "if":
            more = {"if": one, "else": {"required": ["b"]}}
        elif keyword == "not":
            more = {"not": {"anyOf": [one, other]}}
        given = schema(**more)
        before = repr(given)
        try:
            never = inputs.never(given, NAMES)
        except CannotHide:
            # Where something else may only be there with it.
            assert "dependentRequired" in repr(given)
            continue
        assert repr(given) == before
        assert "key" not in repr(never)
        whole, shown = Draft202012Validator(given), Draft202012Validator(never)
        for arguments in ({}, {"a": "x"}, {"b": 1}, {"b": "x"}, {"a": "x", "b": 1}):
            assert shown.is_valid(arguments) == whole.is_valid(arguments), (given, arguments)
        checked += 1
    assert checked > 80


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (schema(required=["a", "key"]), "it has to be there"),
        (schema(allOf=[{"required": ["key"]}]), "it has to be there"),
        ({"type": "object", "$ref": "#/$defs/A", "$defs": {"A": schema(required=["key"])}}, "it has to be there"),
        (schema(dependentRequired={"a": ["key"]}), "demands it wherever 'a' is"),
        (schema(propertyNames={"enum": ["key"]}), "names it in `propertyNames`"),
        (schema(properties={"key": TEXT, "a": {"$ref": "#/properties/key"}}), "from elsewhere"),
    ],
)
def test_what_cannot_be_left_out_is_said(given: JsonObject, why: str) -> None:
    with pytest.raises(CannotHide) as caught:
        inputs.never(given, NAMES)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (schema(), {"key", "a"}),
        ({"type": "object", "properties": {}}, set()),
        ({"type": "object", "additionalProperties": False}, set()),
        ({"type": "object"}, None),
        (True, None),
        (schema(additionalProperties=True), None),
        (schema(unevaluatedProperties=TEXT), None),
        (schema(patternProperties={"^x": True}), None),
        (
            schema(oneOf=[{"properties": {"c": True}}, {"$ref": "#/$defs/D"}]) | {"$defs": {"D": schema()}},
            {"key", "a", "c"},
        ),
        (schema(allOf=[{"$ref": "https://example.com/"}]), None),
        (schema(allOf=[{"$ref": "#"}]), None),
    ],
)
def test_which_arguments_a_schema_has(given: Json, names: set[str] | None) -> None:
    assert inputs.declared(given) == names
