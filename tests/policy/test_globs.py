"""Patterns: what each sign means, held against a plain reading of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.policy.globs import Glob, PatternError
from tests.policy.writing import law


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("git/git_status", "git/git_status", True),
        ("git/git_status", "git/git_status2", False),
        ("git/git_status", "Git/git_status", False),
        ("git/git_diff*", "git/git_diff", True),
        ("git/git_diff*", "git/git_diff_staged", True),
        ("git/*", "git/", True),
        ("git/*", "git/a/b", False),
        ("git/**", "git/a/b", True),
        ("git/**", "git/", True),
        ("**", "", True),
        ("**", "a/b", True),
        ("*", "a/b", False),
        ("*/*", "a/b", True),
        ("*/*_status", "git/git_status", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/b", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a?c", "ac", False),
        ("***", "a/b", True),
        ("*ab*", "xxabab", True),
        ("ab*ab", "ab", False),
        ("ab*ab", "abab", True),
        ("[abc]", "b", True),
        ("[abc]", "d", False),
        ("[!abc]", "d", True),
        ("[!abc]", "a", False),
        ("[!abc]", "/", False),
        ("[a/]", "/", False),
        ("[!/]", "b", True),
        ("[a-cx]", "x", True),
        ("[a-cx]", "d", False),
        ("[+-9]", "/", False),
        ("[-a]", "-", True),
        ("[a-]", "-", True),
        (r"[\]]", "]", True),
        (r"[\!a]", "!", True),
        (r"[a\-c]", "b", False),
        (r"\*", "*", True),
        (r"\*", "x", False),
        (r"\[a]", "[a]", True),
        (r"a\\b", r"a\b", True),
        ("a]b", "a]b", True),
        ("é*", "éa", True),
        ("{a,b}", "a", False),
    ],
)
def test_a_pattern_matches_as_the_contract_says(pattern: str, text: str, expected: bool) -> None:
    assert Glob(pattern).matches(text) is expected


@pytest.mark.parametrize(
    ("pattern", "offset"), [("git/[ab", 4), ("[]", 0), ("[^a]", 1), ("[z-a]", 3), ("ab\\", 2), ("[\\", 0)]
)
def test_a_pattern_that_cannot_be_read_says_where(pattern: str, offset: int) -> None:
    with pytest.raises(PatternError) as caught:
        Glob(pattern)
    assert caught.value.offset == offset


@dataclass(frozen=True)
class Part:
    """One sign of a pattern as a test writes it: its text, and what it may stand for."""

    written: str
    kind: str
    characters: str = ""


_LETTERS = "ab*?[]!\\-é"
_ALPHABET = _LETTERS + "/"


def _quoted(character: str) -> str:
    return f"\\{character}" if character in "*?[]!\\-^" else character


def _class(characters: str, negated: bool) -> Part:
    written = f"[{'!' if negated else ''}{''.join(map(_quoted, characters))}]"
    stands_for = [one for one in _LETTERS if (one in characters) is not negated]
    return Part(written, "one", "".join(stands_for))


_PARTS = st.one_of(
    st.sampled_from(_ALPHABET).map(lambda one: Part(_quoted(one), "one", one)),
    st.just(Part("?", "one", _LETTERS)),
    st.builds(_class, st.text(_LETTERS, min_size=1, max_size=3), st.booleans()),
    st.just(Part("*", "within")),
    st.just(Part("**", "across")),
)


def _stars_apart(parts: list[Part]) -> bool:
    return not any(a.kind != "one" and b.kind != "one" for a, b in pairwise(parts))


_PATTERNS = st.lists(_PARTS, max_size=8).filter(_stars_apart)


def _ends(parts: list[Part], text: str) -> set[int]:
    """Where a match of the parts can end in the text: each part tried at each place, as one would by hand."""
    places = {0}
    for part in parts:
        if part.kind == "one":
            places = {at + 1 for at in places if at < len(text) and text[at] in part.characters}
        else:
            allowed = _ALPHABET if part.kind == "across" else _LETTERS
            reached = set(places)
            for at in places:
                while at < len(text) and text[at] in allowed:
                    at += 1
                    reached.add(at)
            places = reached
    return places


@law
@given(_PATTERNS, st.text(_ALPHABET, max_size=12))
def test_matching_agrees_with_trying_everything(parts: list[Part], text: str) -> None:
    pattern = "".join(part.written for part in parts)

    assert Glob(pattern).matches(text) is (len(text) in _ends(parts, text)), pattern


@st.composite
def _matching(draw: st.DrawFn) -> tuple[str, str]:
    parts = draw(_PATTERNS)
    text = []
    for part in parts:
        if part.kind == "one":
            text.append(draw(st.sampled_from(part.characters or "a")))
        else:
            text.append(draw(st.text(_ALPHABET if part.kind == "across" else _LETTERS, max_size=4)))
    if any(part.kind == "one" and not part.characters for part in parts):
        return "", ""
    return "".join(part.written for part in parts), "".join(text)


@law
@given(_matching())
def test_a_text_made_from_a_pattern_matches_it(made: tuple[str, str]) -> None:
    pattern, text = made
    glob = Glob(pattern)

    assert glob.matches(text)
    assert text.startswith(glob.prefix)
    assert text.endswith(glob.suffix)
    assert all(glob.possible(text[:length]) for length in range(len(text) + 1))
    assert glob.spans or "/" not in text


@law
@given(st.text(_ALPHABET, max_size=10))
def test_a_quoted_text_is_a_literal(text: str) -> None:
    glob = Glob("".join(map(_quoted, text)))

    assert glob.literal == text
    assert glob.matches(text)


@pytest.mark.parametrize("pattern", ["*a" * 200 + "b", "**a" * 200 + "b", "a*" * 100 + "[!a]", "?*" * 100 + "/"])
def test_no_text_makes_a_pattern_slow(pattern: str) -> None:
    glob = Glob(pattern)

    began = perf_counter()
    assert not glob.matches("a" * 20_000)
    assert perf_counter() - began < 2, "the time is linear: milliseconds, where backtracking would take years"
