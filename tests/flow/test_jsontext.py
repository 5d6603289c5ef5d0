"""The strict reader and the compact writer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim import jsontext
from shim.errors import InvalidText
from shim.model import Json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: Json) -> None:
    assert jsontext.parse(jsontext.dump(value)) == value


@given(st.binary(max_size=200))
def test_no_text_does_more_than_be_refused(text: bytes) -> None:
    try:
        value = jsontext.parse(text)
    except InvalidText:
        return
    assert json.loads(text) == value


def test_an_integer_keeps_every_digit() -> None:
    digits = "9" * 4300
    assert jsontext.dump(jsontext.parse(f'{{"n":{digits}}}'.encode())) == f'{{"n":{digits}}}'.encode()


def test_a_lone_surrogate_stays_an_escape() -> None:
    assert jsontext.dump(jsontext.parse(b'"\\ud800"')) == b'"\\ud800"'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"a":1,"a":2}', "appears twice"),
        (b'[{"x":{"a":1,"\\u0061":2}}]', "appears twice"),
        (b"NaN", "not JSON"),
        (b"[Infinity]", "not JSON"),
        (b"-Infinity", "not JSON"),
        (b"1e400", "too large"),
        (b"-" + b"1" * 4301, "digits"),
        (b"[" * 129 + b"]" * 129, "deeper"),
        (b'{"a":' * 129 + b"1" + b"}" * 129, "deeper"),
        (b"[" * 100_000, "deeper"),
        ('{"a":1}'.encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'"\xff"', "UTF-8"),
        (b'"a\nb"', "control character"),
        (b"{} {}", "Extra data"),
        (b"", "not JSON"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(InvalidText, match=why):
        jsontext.parse(text)


def test_brackets_in_strings_do_not_nest() -> None:
    text = jsontext.dump(["[" * 500 + '\\"{' * 50])
    assert jsontext.parse(text) == ["[" * 500 + '\\"{' * 50]


def test_the_deepest_allowed_nesting_is_read() -> None:
    assert jsontext.parse(b"[" * 128 + b"]" * 128) is not None


@given(st.lists(st.sampled_from(["[", "{", "]", "}", '"', "\\", "a", "[" * 40]), max_size=60))
def test_depth_is_counted_outside_strings_alone(pieces: list[str]) -> None:
    text, depth, deepest, inside, skip = "".join(pieces).encode(), 0, 0, False, False
    for byte in text:
        if skip:
            skip = False
        elif inside:
            skip, inside = byte == 0x5C, byte != 0x22
        elif byte == 0x22:
            inside = True
        else:
            depth += (byte in b"[{") - (byte in b"]}")
            deepest = max(deepest, depth)
    said = ""
    try:
        jsontext.parse(text)
    except InvalidText as error:
        said = str(error)
    assert ("deeper" in said) == (deepest > jsontext.MAX_DEPTH)


def test_an_object_is_asked_for() -> None:
    with pytest.raises(InvalidText, match="not one JSON object"):
        jsontext.parse_object(b"[]")


@given(st.dictionaries(st.text(), st.integers(), max_size=5))
def test_a_digest_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    assert jsontext.digest(value) == jsontext.digest(dict(reversed(value.items())))
