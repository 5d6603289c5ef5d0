"""What comes from hostile sources cannot act on a terminal, and is the same value to a machine."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from shim.cli.text import json_text, visible

HARMLESS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(st.characters()))
def test_nothing_shown_acts_on_a_terminal(text: str) -> None:
    assert not any(unicodedata.category(character) in HARMLESS for character in visible(text))


@given(st.text(st.characters()))
def test_lines_keep_their_ends_and_nothing_else(text: str) -> None:
    acting = {character for character in visible(text, lines=True) if unicodedata.category(character) in HARMLESS}
    assert acting <= {"\n", "\t"}


def test_escapes_say_what_was_there() -> None:
    assert visible("git\x1b]0;pwned\x07\u202e\u200b\n") == "git\\x1b]0;pwned\\x07\\u202e\\u200b\\n"
    assert visible("Grüße, 世界 🎒") == "Grüße, 世界 🎒"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


@given(JSON)
def test_json_is_one_harmless_line_with_the_same_value(value: object) -> None:
    text = json_text(value)
    assert not any(unicodedata.category(character) in HARMLESS for character in text)
    assert json.loads(text) == value
