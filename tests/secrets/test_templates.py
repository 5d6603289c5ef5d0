"""Texts with places for secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim import templates
from shim.model import Json

literal = st.text(st.characters(exclude_characters="\0"), max_size=20)
reference = st.from_regex(rf"{templates.NAME}(\.{templates.FIELD})?", fullmatch=True)
value = st.text(max_size=20)


@given(st.lists(st.tuples(literal, reference, value), max_size=5), literal)
def test_a_text_is_filled_once_and_nothing_else_changes(parts: list[tuple[str, str, str]], last: str) -> None:
    values = {name: text for _, name, text in parts}
    text = "".join(before + templates.place(name) for before, name, _ in parts) + last
    assert templates.references(text) == tuple(name for _, name, _ in parts)
    assert templates.filled(text, values) == "".join(before + values[name] for before, name, _ in parts) + last


@given(reference)
def test_a_reference_is_a_name_and_perhaps_a_field(text: str) -> None:
    name, field = templates.name_of(text), templates.field_of(text)
    assert text == (name if field is None else f"{name}.{field}")


def test_the_places_within_a_value_are_filled_where_they_are() -> None:
    value = {"a": [templates.place("one"), 5, None, {"b": f"x {templates.place('two.of')} {templates.place('one')}"}]}
    assert list(templates.references_within(value)) == ["one", "two.of", "one"]
    values = {"one": templates.place("two.of"), "two.of": "2"}
    assert templates.filled_within(value, values) == {
        "a": [templates.place("two.of"), 5, None, {"b": f"x 2 {templates.place('two.of')}"}]
    }


def test_a_key_is_no_place() -> None:
    value = {templates.place("one"): True}
    assert list(templates.references_within(value)) == []
    assert templates.filled_within(value, {}) == value


def test_a_value_that_is_missing_is_not_left_out() -> None:
    with pytest.raises(KeyError):
        templates.filled_within([templates.place("one")], {})


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | literal,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(literal, one, max_size=3),
    max_leaves=10,
)


@given(nested)
def test_a_value_without_places_stays_as_it_is(value: Json) -> None:
    assert list(templates.references_within(value)) == []
    assert templates.filled_within(value, {}) == value
