"""Texts that a call fills."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.secrets.filling import filled, segment
from shim.secrets.source import Purpose, Unavailable


def test_what_a_call_gives_is_filled_in_once() -> None:
    purpose = Purpose("l", "alice", {"team": "{tool}", "id": 7}, tool="up/read", invocation="i1")
    text = "{identity} {claims.team} {claims.id} {tool} {invocation} {other}"
    assert filled(text, purpose, str) == "alice {tool} 7 up/read i1 {other}"


@pytest.mark.parametrize(
    "text", ["{identity}", "{tool}", "{invocation}", "{claims.none}", "{claims.yes}", "{claims.l}"]
)
def test_what_a_call_does_not_have_is_no_text(text: str) -> None:
    with pytest.raises(Unavailable, match="it is asked for by"):
        filled(text, Purpose("l", claims={"yes": True, "l": ["a"]}), str)


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_no_segment_is_empty_or_leads_elsewhere(value: str) -> None:
    with pytest.raises(Unavailable, match="with a part that would be"):
        segment(value)


def test_ordinary_names_stay_what_they_are() -> None:
    assert segment("alice.b+c@example.com") == "alice.b+c@example.com"


@given(st.text(min_size=1).filter(lambda text: text not in (".", "..")))
def test_a_segment_is_one_and_no_other_value_has_it(value: str) -> None:
    found = segment(value)
    assert "/" not in unquote(quote(found, safe="/"))
    assert unquote(found) == value
