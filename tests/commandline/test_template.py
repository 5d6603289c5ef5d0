"""The law of templates: a command line has exactly the words that its template allows, whatever the values are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.record.known import REDACTED
from shim.record.redact import Redactor
from shim.upstream.commandline.declaration import declaration
from shim.upstream.commandline.template import Misfit, argv, holds_place, parsed, text_of
from shim.upstream.guarding import Guards
from shim.upstream.program import Program

NAMES = ("a", "b", "list", "flag")
HOSTILE = st.sampled_from(
    [
        "",
        "-",
        "--",
        "-rf",
        "--server=evil",
        "$(id)",
        "`id`",
        "; id",
        "a b",
        "'",
        '"',
        "\\",
        "*",
        "{a}",
        "${HOME}",
        "é",
        "%s",
    ]
)
TEXTS = HOSTILE | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
LITERALS = st.sampled_from(["log", "-n", "--", "--x=", "{{}}", "a=", "$0", " "])
WORDS = st.lists(LITERALS | st.sampled_from(["{a}", "{b}", "{flag}"]), min_size=1, max_size=3).map("".join)
GROUPS = st.lists(WORDS | st.just("{list}"), min_size=1, max_size=3)
CHOICES = st.dictionaries(
    st.sampled_from(["true", "false"]), st.lists(st.sampled_from(["-v", "x"]), max_size=2), min_size=1
)
ELEMENTS = WORDS | st.just("{list}") | GROUPS | CHOICES.map(lambda chosen: {"flag": chosen})
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "a": TEXTS,
        "b": TEXTS,
        "list": st.lists(TEXTS, max_size=3).map(tuple),
        "flag": st.sampled_from(["true", "false"]),
    },
)


def expected(element: Any, values: dict[str, Any]) -> list[str] | None:
    """What an element may become, said in another way: by replacing. None: the values must be refused."""
    if isinstance(element, dict):
        return list(element["flag"].get(values.get("flag"), []))
    words = element if isinstance(element, list) else [element]
    used = {name for name in NAMES for word in words if "{" + name + "}" in word.replace("{{}}", "")}
    if isinstance(element, list) and any(values.get(name, ()) == () for name in used):
        return []
    found: list[str] = []
    for word in words:
        if word == "{list}":
            parts = list(values.get("list", ()))
        elif any("{" + name + "}" in word and name not in values for name in used):
            parts = []
        else:
            pieces = word.split("{{}}")
            for name in used - {"list"}:
                pieces = [("\0" + name + "\0").join(piece.split("{" + name + "}")) for piece in pieces]
            whole = "{}".join(pieces)
            parts = ["".join(values[one] if at % 2 else one for at, one in enumerate(whole.split("\0")))]
        if word.startswith("{") and not word.startswith("{{") and any(part.startswith("-") for part in parts):
            return None
        found += parts
    return found


def is_plain(element: Any) -> bool:
    """Whether it is a template at all: a group has a place."""
    return not isinstance(element, list) or any(holds_place(word.replace("{{}}", "")) for word in element)


@settings(max_examples=200, deadline=None)
@given(st.lists(ELEMENTS.filter(is_plain), max_size=6), VALUES)
def test_words_are_those_of_the_template(run: list[Any], values: dict[str, Any]) -> None:
    each = [expected(element, values) for element in run]
    elements = [parsed(element) for element in run]
    if None in each:
        with pytest.raises(Misfit):
            argv(elements, values)
        return
    found = argv(elements, values)
    assert list(found) == [word for words in each if words is not None for word in words]


Said: TypeAlias = Callable[[tuple[str, ...]], list[str]]


@pytest.fixture(scope="module")
def said() -> Iterator[Said]:
    """The words that a real child has, besides its own name and format."""
    with asyncio.Runner() as runner:
        guards = Guards()

        async def run(words: tuple[str, ...]) -> list[str]:
            what = Program(("/usr/bin/printf", "[%s]\\0", *words), {"PATH": "/usr/bin:/bin"}, "/")
            child = await guards.start("printf", what, str)
            out = b""
            try:
                while chunk := await child.output.read():
                    out += chunk
            finally:
                await child.stop()
            return [word[1:-1].decode() for word in out.split(b"\0")[:-1]]

        yield lambda words: runner.run(run(words))
        runner.run(guards.stop())


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=8))
def test_a_child_has_exactly_these_words(said: Said, texts: list[str]) -> None:
    words = argv(
        [parsed("--x={a}"), parsed("{list}")], {"a": texts[0], "list": tuple(t.lstrip("-") for t in texts[1:])}
    )
    assert said(words) == list(words)
    assert len(words) == len(texts)


@settings(max_examples=600, deadline=None)
@given(run=st.lists(ELEMENTS.filter(is_plain), min_size=1, max_size=6), values=VALUES)
def test_a_child_has_the_words_of_any_template(said: Said, run: list[Any], values: dict[str, Any]) -> None:
    each = [expected(element, values) for element in run]
    if None in each:
        return
    words = [word for words in each if words is not None for word in words]
    # Without any, `printf` writes its format once.
    assert said(argv([parsed(element) for element in run], values)) == (words or [""])


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=20) | HOSTILE | st.sampled_from(["a\0b", "a\nb", "\x1b[2J", "\x85", "\ud800"]),
    st.booleans(),
)
def test_what_no_word_can_hold_is_refused(value: str, lines: bool) -> None:
    made = declaration(["a", "--x={x}", "{x}"], None, {"x": {"type": "string", "maxLength": 99, "lines": lines}})
    is_fine = not value.startswith("-") and all(
        not (ord(one) < 32 or 127 <= ord(one) < 160 or 0xD800 <= ord(one) < 0xE000) or (lines and one in "\t\n\r")
        for one in value
    )
    if not is_fine:
        with pytest.raises(Misfit, match=r"begins with `-`|control character|half of a character"):
            made.fill(["-q"], {"x": value}, "/private")
        return
    filled = made.fill(["-q"], {"x": value}, "/private")
    assert filled.words == ("-q", "a", f"--x={value}", value)
    assert [os.fsencode(word).decode() for word in filled.words] == list(filled.words)


@pytest.mark.parametrize("mark", [{"format": "password"}, {"writeOnly": True}])
def test_what_is_marked_as_secret_stays_out_of_the_record(mark: dict[str, Any]) -> None:
    inputs = {"pin": {"type": "string", "maxLength": 9, **mark}, "user": {"type": "string", "maxLength": 9}}
    made = declaration(["login", "--user={user}"], "{pin}", inputs)
    kept, count = Redactor().redact({"pin": "1234", "user": "me"}, made.schema)
    assert (kept, count) == ({"pin": REDACTED, "user": "me"}, 1)


def test_a_text_that_is_given_needs_no_type() -> None:
    made = declaration(["a", "{x}", "{y}"], None, {"x": {"const": "one"}, "y": {"enum": ["two", "three"]}})
    assert [schema["type"] for schema in made.schema["properties"].values()] == ["string", "string"]


def test_braces_are_written_twice() -> None:
    assert text_of("stash@{{0}}: {{{a}}}").text({"a": "x"}) == "stash@{0}: {x}"


def test_a_path_stays_in_its_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "deep").mkdir(parents=True)
    outside.mkdir()
    (inside / "file").touch()
    (inside / "leads-out").symlink_to(outside)
    (inside / "leads-in").symlink_to(inside / "deep")
    (tmp_path / "in-beside").mkdir()
    made = declaration(["a", "{p}"], None, {"p": {"type": "path", "under": str(inside)}})

    def words(path: str) -> str | None:
        try:
            return made.fill([], {"p": path}, "/private").words[1]
        except Misfit:
            return None

    assert words("file") == str(inside / "file")
    assert words("deep/../file") == str(inside / "file")
    assert words("leads-in/new") == str(inside / "deep" / "new")
    assert words(".") == str(inside)
    assert words("-rf") == str(inside / "-rf")
    out = ["..", "../out", "leads-out", "leads-out/x", "deep/../../out", "/etc/passwd", "../in-beside", str(inside), ""]
    assert [words(path) for path in out] == [None] * len(out)


def test_what_is_longer_than_a_system_takes_is_refused_before() -> None:
    made = declaration(["a", "--x={x}"], None, {"x": {"type": "string", "maxLength": 1_000_000}})
    with pytest.raises(Misfit, match="longer than systems take"):
        made.fill([], {"x": "y" * 140_000}, "/private")


def test_a_name_on_the_disk_that_is_no_text_is_refused(tmp_path: Path) -> None:
    made = declaration(["cat", "{p}"], None, {"p": {"type": "path", "under": str(tmp_path)}})
    for link, target in ((b"bytes", b"\xff"), (b"lines", b"a\nb")):
        (tmp_path / link.decode()).symlink_to(os.fsdecode(target))
        with pytest.raises(Misfit, match="a name that is no text"):
            made.fill((), {"p": link.decode()}, "/f")


def test_what_goes_to_stdin_as_json_is_json() -> None:
    made = declaration(["put"], {"json": "{name}"}, {"name": {"type": "string", "maxLength": 30}})
    assert made.fill((), {"name": '{"admin": true}\n'}, "/f").stdin == b'"{\\"admin\\": true}\\n"'


@pytest.mark.parametrize(
    ("kind", "given", "word"),
    [
        ("integer", 1e20, "-U100000000000000000000"),
        ("integer", 3.0, "-U3"),
        ("number", 1e-7, "-U0.0000001"),
        ("number", 2.5, "-U2.5"),
    ],
)
def test_a_number_is_digits_and_no_letter(kind: str, given: float, word: str) -> None:
    made = declaration(["log", "-U{n}"], None, {"n": {"type": kind, "minimum": 0}})
    assert made.fill((), {"n": given}, "/f").words == ("log", word)
