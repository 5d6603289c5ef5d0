"""Whatever a file holds, loading it ends with a configuration or with faults that have a line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shim.config.document import NOT_YET, Included, Main, keys_at
from shim.config.loader import load
from shim.errors import ConfigurationError
from shim.model import Problem
from tests.config.given import write

KEYS = sorted(
    {key for keys in NOT_YET.values() for key in keys}
    | {*Main.model_fields, *Included.model_fields, "<<", "me", "git", "group:x", ""}
    | {key for path in (("server",), ("record",)) for key in keys_at(Main, path)}
    | {
        key
        for path in (("upstreams", "x"), ("identities", "x"), ("secrets", "x"), ("grants", 0))
        for key in keys_at(Main, path)
    }
)
leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(["1", "me", "git/x", "*", "${env:A}", "${env:B}", "${secret:x}", "30s", "true", "https://x/mcp"]),
    st.text(max_size=8),
)
key = st.one_of(st.sampled_from(KEYS), st.text(max_size=4))
value = st.recursive(
    leaf, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(key, inner, max_size=4)), max_leaves=24
)
document = st.fixed_dictionaries(
    {},
    optional={
        "version": st.one_of(st.just(1), leaf),
        "server": value,
        "store": leaf,
        "record": value,
        "upstreams": st.one_of(st.dictionaries(key, value, max_size=3), value),
        "secrets": st.one_of(st.dictionaries(key, value, max_size=3), value),
        "identities": st.one_of(st.dictionaries(key, value, max_size=3), value),
        "grants": st.one_of(st.lists(st.dictionaries(st.sampled_from(KEYS), value, max_size=5), max_size=3), value),
        "include": st.one_of(st.lists(st.sampled_from(["*.yaml", "m*", "/none/*", "**", "["]), max_size=2), value),
    },
)


def faults_of(path: Path, *, expand: bool) -> tuple[Problem, ...]:
    try:
        return load(path, {"A": "a"}, expand=expand).warnings
    except ConfigurationError as error:
        return error.problems or (Problem("", 0, "error", ""),)


def ill_said(data: bytes) -> list[Problem]:
    """What is said of a file that holds this, and does not lead to a line of it in words that can be shown."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), "grants: [{name: more}]\n", "more.yml")
        path = write(Path(folder), data)
        lines = data.count(b"\n") + data.count(b"\r") + 2
        said = faults_of(path, expand=True) + faults_of(path, expand=False)
        return [
            problem
            for problem in said
            if not (1 <= problem.line <= lines and problem.message and problem.message.isprintable())
        ]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"a: &a [*a]\n")
@example(b"- " * 20_000)
@example(b"{? " * 20_000)
def test_any_bytes(data: bytes) -> None:
    assert ill_said(data) == []


@settings(max_examples=200, deadline=None)
@given(document)
def test_any_document_of_the_right_outline(document: dict[str, object]) -> None:
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    assert ill_said(text.encode("utf-8", "surrogatepass")) == []


@settings(max_examples=150, deadline=None)
@given(st.text("ab:-[]{}&*!|>'\"%@`#?, \n\t${}", max_size=80))
def test_any_text_of_what_yaml_is_made_of(text: str) -> None:
    assert ill_said(b"version: 1\nupstreams: " + text.encode()) == []
