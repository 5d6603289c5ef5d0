"""A law: what a plain server reads is what was passed, or the argument was refused; and nothing leaves its place."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shim.upstream.openapi import styles
from shim.upstream.openapi.operations import Parameter
from shim.upstream.openapi.styles import Misplaced
from tests.upstream.openapi import reading_back
from tests.upstream.openapi.reading_back import MISSING

HOSTILE = [
    *(
        "..",
        ".",
        "/",
        "\\",
        "a/../b",
        "%2e%2e",
        "%252e%252e",
        "..%2f",
        "%2F",
        "..;",
        "\uff0e\uff0e",
        "a/b",
        "",
        " ",
        "a b",
    ),
    *("a; admin=1", "a\r\nx: y", "a&b=c", "a=b", "a,b", "a|b", "a#b", "a?b", "+", "%", "%00", "\0", "é", "\ud800"),
    *("true", "null", "0", "[a]", "a]b", ";", "a;b=c", "1.5", "~", "'", '"', "\U0001d54f", "%c0%ae", "admin", "other"),
]
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=8) | st.text("ab%2eEfF./\\;,=&|[]+ ", max_size=8)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "integer": st.integers(-(10**20), 10**20),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
}


@st.composite
def passed(draw: st.DrawFn) -> tuple[Any, Any]:
    """A schema, and a value of it."""
    kind = draw(st.sampled_from(list(SCALARS)))
    shape = draw(st.sampled_from(["one", "array", "object"]))
    if shape == "array":
        schema = {"type": "array", "items": {"type": kind}}
        return schema, draw(st.lists(SCALARS[kind], max_size=4))
    if shape == "object":
        schema = {"type": "object", "additionalProperties": {"type": kind}}
        return schema, draw(st.dictionaries(TEXTS, SCALARS[kind], max_size=4))
    return {"type": kind}, draw(SCALARS[kind])


def parameter(where: Any, style: Any, schema: Any, *, explode: bool, media: str | None = None) -> Parameter:
    return Parameter("it", where, False, style, explode, False, schema, media, None)


def same(read: Any, value: Any) -> bool:
    """Nothing, and an empty list or object, are the same: undefined (RFC 6570, 2.3)."""
    if read is MISSING:
        return value in ([], {})
    return bool(read == value) and type(read) is type(value)


STYLES = [
    *(("path", style, explode) for style in ("simple", "label", "matrix") for explode in (False, True)),
    *(("query", "form", explode) for explode in (False, True)),
    *(("query", style, False) for style in ("spaceDelimited", "pipeDelimited")),
    *(("header", "simple", explode) for explode in (False, True)),
    *(("cookie", "form", explode) for explode in (False, True)),
]


@pytest.mark.parametrize(("where", "style", "explode"), STYLES)
@given(case=passed(), media=st.sampled_from([None, None, None, "application/json"]), slashes=st.booleans())
@example(case=({"type": "string"}, ".."), media=None, slashes=False)
@example(case=({"type": "string"}, "%2e%2e"), media=None, slashes=True)
@example(case=({"type": "string"}, "a; admin=1"), media=None, slashes=False)
@example(case=({"type": "string"}, "a\r\nx: y"), media=None, slashes=False)
@example(case=({"type": "array", "items": {"type": "string"}}, ["a", "b c"]), media=None, slashes=False)
@example(case=({"type": "object", "additionalProperties": {"type": "integer"}}, {"R": 100}), media=None, slashes=False)
def test_what_is_read_is_what_was_passed(
    where: str, style: str, explode: bool, case: tuple[Any, Any], media: str | None, slashes: bool
) -> None:
    schema, value = case
    one = parameter(where, style, schema, explode=explode, media=media)
    try:
        reads = _read_back(one, value, slashes=slashes)
    except Misplaced:
        return
    for read in reads:
        assert same(read, value), (read, value)


def _read_back(one: Parameter, value: Any, *, slashes: bool) -> list[Any]:
    match one.where:
        case "path":
            piece = styles.in_path(one, value, slashes=slashes, others=frozenset())
            path = f"/before/{piece}/after"
            styles.check_path(path)
            _stays(path, slashes=slashes)
            return [reading_back.path_value(piece, one, first=first) for first in (False, True)]
        case "query":
            pairs = styles.in_query(one, value)
            query = "&".join(f"{name}={text}" for name, text in pairs)
            assert query.isascii()
            assert not set(query) & set("#+ \r\n\0")
            split = [each.partition("=")[::2] for each in query.split("&")] if query else []
            return [reading_back.query_value([*split], one, first=first) for first in (False, True)]
        case "header":
            text = styles.in_header(one, value)
            assert text is None or (text.isascii() and text.isprintable())
            return [reading_back.header_value(text, one)]
        case _:
            header = "; ".join(f"{name}={text}" for name, text in styles.in_cookie(one, value))
            assert header.isascii()
            return [reading_back.cookie_value(header, one)]


def _stays(path: str, *, slashes: bool) -> None:
    """However often a server decodes, and whatever it takes for a separator, the path has its segments."""
    assert path.isascii()
    assert not set(path) & set("?# \r\n\0\\")
    text = path
    for _ in range(4):
        segments = text.replace("\\", "/").split("/")
        assert not {one.partition(";")[0].strip() for one in segments} & {".", ".."}
        assert len(segments) == 4 or slashes
        assert segments[1] == "before"
        assert segments[-1] == "after"
        text = unquote(text)


@st.composite
def nested(draw: st.DrawFn) -> tuple[Any, Any]:
    """A schema of objects and lists in each other, and a value of it."""
    schema: Any = {"type": "string"}
    make: st.SearchStrategy[Any] = TEXTS
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            schema, make = {"type": "array", "items": schema}, st.lists(make, max_size=3)
        else:
            schema = {"type": "object", "additionalProperties": schema}
            make = st.dictionaries(TEXTS, make, max_size=3)
    return {"type": "object", "additionalProperties": schema}, draw(st.dictionaries(TEXTS, make, max_size=3))


@given(case=nested())
def test_objects_in_objects(case: tuple[Any, Any]) -> None:
    schema, value = case
    one = parameter("query", "deepObject", schema, explode=True)
    try:
        pairs = styles.in_query(one, value)
    except Misplaced:
        return
    assert same(reading_back.query_value(pairs, one, first=False), value)


def test_reserved_characters_part_nothing() -> None:
    one = Parameter("it", "query", False, "form", True, True, {"type": "string"}, None, None)
    assert styles.in_query(one, "a/b:c?d@e") == [("it", "a/b:c?d@e")]
    ((_, text),) = styles.in_query(one, "a&b=c#d+e;f")
    assert text == "a%26b%3Dc%23d%2Be%3Bf"


def test_a_whole_number_is_written_as_one() -> None:
    assert [styles.scalar(one) for one in (3.0, -2.0, 1.5, 1e300, 2**70)] == ["3", "-2", "1.5", "1e+300", str(2**70)]


ARRAY, OBJECT = ["blue", "black", "brown"], {"R": 100, "G": 200, "B": 150}


@pytest.mark.parametrize(
    ("where", "style", "explode", "one", "many", "members"),
    [
        ("path", "matrix", False, ";it=blue", ";it=blue,black,brown", ";it=R,100,G,200,B,150"),
        ("path", "matrix", True, ";it=blue", ";it=blue;it=black;it=brown", ";R=100;G=200;B=150"),
        ("path", "label", False, ".blue", ".blue,black,brown", ".R,100,G,200,B,150"),
        ("path", "label", True, ".blue", ".blue.black.brown", ".R=100.G=200.B=150"),
        ("path", "simple", False, "blue", "blue,black,brown", "R,100,G,200,B,150"),
        ("path", "simple", True, "blue", "blue,black,brown", "R=100,G=200,B=150"),
        ("header", "simple", True, "blue", "blue,black,brown", "R=100,G=200,B=150"),
        ("query", "form", False, "it=blue", "it=blue,black,brown", "it=R,100,G,200,B,150"),
        ("query", "form", True, "it=blue", "it=blue&it=black&it=brown", "R=100&G=200&B=150"),
        ("query", "spaceDelimited", False, "it=blue", "it=blue%20black%20brown", "it=R%20100%20G%20200%20B%20150"),
        ("query", "pipeDelimited", False, "it=blue", "it=blue%7Cblack%7Cbrown", "it=R%7C100%7CG%7C200%7CB%7C150"),
        ("query", "deepObject", True, "it=blue", None, "it%5BR%5D=100&it%5BG%5D=200&it%5BB%5D=150"),
    ],
)
def test_the_examples_of_the_specification(
    where: str, style: str, explode: bool, one: str, many: str | None, members: str
) -> None:
    at = parameter(where, style, {}, explode=explode)
    for value, expected in (("blue", one), (ARRAY, many), (OBJECT, members)):
        if expected is None:
            continue
        match where:
            case "path":
                assert styles.in_path(at, value, slashes=False, others=frozenset()) == expected
            case "header":
                assert styles.in_header(at, value) == expected
            case _:
                assert "&".join("=".join(pair) for pair in styles.in_query(at, value)) == expected
