"""However a URI is spelt, a deny catches what it leads to; spelt crookedly, no wildcard of an allow lets it pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.model import Identity, Reason
from shim.policy import uris
from shim.policy.conditions import Facts
from shim.policy.config import GrantBlock
from shim.policy.engine import Policy
from tests.policy.writing import law

SECRET = "file:///srv/secret/key"
ANN = Identity("ann")
Spelling = Callable[[str], str]


def policy(deny: str | None = "resource:up/file:///srv/secret/**") -> Policy:
    grants = [GrantBlock(name="all", to=("ann",), allow=("resource:up/file:///srv/**", "resource:up/FILE:/**"))]
    if deny is not None:
        grants.append(GrantBlock(name="never", to=("*",), deny=(deny,)))
    return Policy(grants)


DENIES, ALLOWS = policy(), policy(None)


def denied(uri: str) -> bool:
    facts = Facts({"uri": uri}, "run", None, datetime(2026, 8, 1, tzinfo=UTC))
    return DENIES.decide(ANN, f"resource:up/{uri}", facts).reason is Reason.DENIED_BY_GRANT


def overlong(character: str, length: int) -> str:
    """The percent escapes of an ASCII character in UTF-8 that is longer than it may be."""
    point = ord(character)
    data = []
    for _ in range(length - 1):
        data.append(0x80 | point & 0x3F)
        point >>= 6
    lead = (0xFF << (8 - length)) & 0xFF
    return "".join(f"%{byte:02x}" for byte in [lead | point, *reversed(data)])


DOTS = (
    "..",
    ".",
    "%2e%2e",
    ".%2E",
    "%252e%252e",
    "%25252e.",
    "%25%32%65%25%32%65",
    "..;a=b",
    "%2e%2e;x",
    "..%3bx",
    "\uff0e\uff0e",
    "%ef%bc%8e%ef%bc%8e",
    "\u2025",
    "\u2024\u2024",
    "%u002e%u002e",
    *(overlong(".", length) * 2 for length in (2, 3, 4, 5, 6)),
)
SLASHES = (
    "\\",
    "%5c",
    "%255c",
    "\uff0f",
    "\uff3c",
    "%ef%bc%8f",
    "\u2215",
    "\u2044",
    "%u2215",
    "%252f",
    *(overlong("/", length) for length in (2, 3, 4, 5, 6)),
)
CONTROLS = ("%00", "%0a", "%09", "\t", "\n", "\x7f", "\u200b", "\u202e", "%e2%80%8b", "%2500", "\ufeff")


@pytest.mark.parametrize("dots", DOTS)
@pytest.mark.parametrize("slash", ["/", "%2f", *SLASHES])
def test_dot_segments_in_any_encoding(dots: str, slash: str) -> None:
    up = dots not in (".",)
    uri = f"file:///srv/{'open' + slash if up else ''}{dots}{slash}secret/key"

    assert denied(uri)
    assert not ALLOWS.visible(ANN, f"resource:up/{uri}")


@pytest.mark.parametrize("slash", SLASHES)
def test_what_is_taken_for_a_slash(slash: str) -> None:
    uri = f"file:///srv/secret{slash}key"

    assert denied(uri)
    assert not ALLOWS.visible(ANN, f"resource:up/{uri}")


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("at", [0, 14, 18, len(SECRET)])
def test_what_is_drawn_as_nothing(control: str, at: int) -> None:
    uri = SECRET[:at] + control + SECRET[at:]

    assert denied(uri)
    assert not ALLOWS.visible(ANN, f"resource:up/{uri}")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///srv//secret/key",
        "file:////srv/secret/key",
        "FILE:/srv/secret/key",
        "file://localhost/srv/secret/key",
        "file:///srv/secret/key?x",
        "file:///srv/secret/key#x",
        "file:///srv/secret;x=1/key",
        "file:///srv/%73ecret/key",
        "file:///srv/secret./key",
        "file:///srv/secret%20/key",
        "file:///srv/secret%2Fkey",
        " file:///srv/secret/key",
        "file:///srv/open?/../secret/key",
        "file:///srv/x%2fy/../%73ecret/key",
        "file:///srv/\uff53ecret/key",
    ],
)
def test_a_deny_also_catches_what_is_only_unusual(uri: str) -> None:
    assert denied(uri)


@pytest.mark.parametrize(
    ("pattern", "uri"),
    [
        ("resource:up/https://Example.com/private/**", "https://example.com/private/x"),
        ("resource:up/https://example.com/private/**", "HTTPS://u:p@EXAMPLE.com.:443/private/x"),
        ("resource:up/file:///srv/my%20files/**", "file:///srv/my files/x"),
        ("resource:up/file:///srv/caf\u00e9/*", "file:///srv/cafe\u0301/x"),
        ("resource:up/file:///srv/caf%C3%A9/*", "file:///srv/caf\u00e9/x"),
        ("resource:up/file:///srv/[%5b]*/x", "file:///srv/%5bq/x"),
        ("resource:up/**/secret", "note:a/b/../secret"),
    ],
)
def test_the_pattern_of_a_deny_may_be_spelt_otherwise_too(pattern: str, uri: str) -> None:
    rules = Policy(
        [
            GrantBlock(name="all", to=("*",), allow=("resource:up/**",)),
            GrantBlock(name="never", to=("*",), deny=(pattern,)),
        ]
    )

    assert not rules.visible(ANN, f"resource:up/{uri}")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///srv/a.txt",
        "file:///srv/.hidden/..name/x..y/v1.2",
        "file:///srv/a%20b.txt",
        "file:///srv/100%25",
        "file:///srv/caf%C3%A9",
        "file:///srv/caf\u00e9",
        "file:///srv/a?page=2&v=1.5#part",
        "file:///srv/a;v=1/b",
        "file:///srv/\u6587\u66f8",
    ],
)
def test_what_is_straight_passes_a_wildcard(uri: str) -> None:
    assert uris.read(uri).crooked is None
    assert ALLOWS.visible(ANN, f"resource:up/{uri}")
    assert not denied(uri)


def test_a_crooked_uri_that_is_written_out_is_allowed() -> None:
    written = Policy([GrantBlock(name="g", to=("*",), allow=("resource:up/file:///srv/%2e%2e/x",))])

    assert written.visible(ANN, "resource:up/file:///srv/%2e%2e/x")
    assert not written.visible(ANN, "resource:up/file:///srv/%2E%2e/x")


def test_an_escaped_slash_is_a_slash_to_wildcards() -> None:
    one = Policy([GrantBlock(name="g", to=("*",), allow=("resource:up/file:///srv/*", "resource:up/repo://**/issues"))])

    assert not one.visible(ANN, "resource:up/file:///srv/a%2fb")
    assert one.visible(ANN, "resource:up/repo://group%2Fproject/issues")


def encoded_anyhow(draw: st.DrawFn, character: str) -> str:
    """One character of the path, as it is or in one of the ways in which somebody might take it for that."""
    once = "".join(f"%{byte:02x}" for byte in character.encode())
    ways: list[str] = [character, once, once.replace("%", "%25"), once.replace("%", "%2525")]
    if character.isascii():
        ways += [f"%u{ord(character):04x}", overlong(character, draw(st.integers(2, 6)))]
        wide = chr(ord(character) + 0xFEE0)
        ways += [wide, quote(wide, safe="")]
    return draw(st.sampled_from(ways))


@st.composite
def spelt_anyhow(draw: st.DrawFn) -> str:
    """Ways to `file:///srv/secret/key`, its path in any mixture of encodings, with detours."""
    segments = ["srv", "secret", "key"]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, 2))
        segments[at:at] = draw(st.sampled_from([["x", ".."], ["."], ["x", "y", "..", ".."], ["", "."]]))
    slashes = [draw(st.sampled_from(["/", *SLASHES, "//", "%2f"])) for _ in segments]
    path = ""
    for slash, segment in zip(slashes, segments, strict=True):
        path += slash
        path += "".join(encoded_anyhow(draw, one) for one in segment)
        path += draw(st.sampled_from(["", "", "", ";p=1", "%00", "\u200b"]))
    return "file://" + ("" if path.startswith("/") else "/") + path


@law
@given(spelt_anyhow())
def test_any_mixture_is_denied_and_unless_it_is_plain_not_allowed(uri: str) -> None:
    if uris.read(uri).endless:
        assert not ALLOWS.visible(ANN, f"resource:up/{uri}")
        return
    assert denied(uri), uris.read(uri).forms
    if not ALLOWS.visible(ANN, f"resource:up/{uri}"):
        return
    # What an allow lets through has nothing in it that could be undone twice.
    assert uris.read(uri).crooked is None
    assert not [mark for mark in ("\\", "%25", "%00") if mark in uri]


@law
@given(st.text(max_size=200) | st.text(alphabet="%25eE2fFcC0aAuU./\\;?#:\uff0e\uff05", max_size=200))
def test_no_text_breaks_it_and_all_are_bounded(text: str) -> None:
    read = uris.read(text)

    assert len(read.forms) <= 96
    assert text not in read.forms
    assert (read.crooked is None) or not ALLOWS.visible(ANN, f"resource:up/{text}")


@pytest.mark.parametrize(
    "text",
    [
        "file:///" + "../" * 600,
        "file:///" + "." * 2000,
        "file:///" + "%c0" * 600,
        "a:" + "%25" * 650,
        "file:///" + "\uff05" * 1900,
        "file:///" + ";/" * 900,
        "file:///" + "%25" * 300 + "%c0%ae" * 100 + "\uff05" * 100,
        "x" * 10_000_000,
    ],
)
def test_what_is_made_to_be_slow_is_not(text: str) -> None:
    began = time.perf_counter()
    visible = ALLOWS.visible(ANN, f"resource:up/{text}")

    assert not visible
    assert time.perf_counter() - began < 0.5


def test_a_uri_that_is_too_long_is_matched_by_nothing() -> None:
    uri = "file:///srv/" + "a" * uris.MAX_URI
    facts = Facts({"uri": uri}, "run", None, datetime(2026, 8, 1, tzinfo=UTC))

    assert ALLOWS.decide(ANN, f"resource:up/{uri}", facts).reason is Reason.NO_GRANT


ANY = st.text(alphabet="srvecty/.%2eE5cfu;\\?x:", max_size=40).map(lambda end: "file:///srv/" + end) | spelt_anyhow()


@law
@given(ANY)
def test_the_index_finds_what_each_pattern_says_by_itself(uri: str) -> None:
    for rules in (DENIES, ALLOWS):
        ref = f"resource:up/{uri}"
        matched = [rule for rule in rules.rules if rule.matches(frozenset(("ann", "*")), ref)]
        visible = any(rule.effect == "allow" for rule in matched) and all(rule.effect == "allow" for rule in matched)
        assert rules.visible(ANN, ref) is visible


def test_what_grows_when_it_is_read_is_matched_by_nothing() -> None:
    # Eighteen characters each, in compatibility form
    grown = uris.read("file:///" + "\ufdfa" * 1500)
    assert grown.endless
    assert not uris.read("file:///" + "\ufdfa" * 50).endless


def test_one_request_reads_its_uri_once() -> None:
    text = "file:///a/%2e%2e/b"
    assert uris.read(text) is uris.read(text)
