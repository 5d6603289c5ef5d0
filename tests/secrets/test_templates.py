"""Texts with places for secrets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shim import templates

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
