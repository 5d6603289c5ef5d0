"""`tools:`: what may be put into calls, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim import templates
from shim.model import Json
from tests.config.given import GOOD, faults, loaded, write

SECRETS = "secrets:\n  key: {source: env, name: KEY}\n  file: {source: file, path: key}\n"


def fixed(value: str, more: str = SECRETS) -> str:
    return f"{GOOD}tools:\n  git/*:\n    fixed:\n      a: {value}\n{more}"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("7", 7),
        ("-0.5e3", -500.0),
        ("12345678901234567890", 12345678901234567890),
        ("true", True),
        ("null", None),
        ("", None),
        ("desk", "desk"),
        ("'7'", "7"),
        ('"true"', "true"),
        ("|\n        7", "7\n"),
        ("no", "no"),
        ("0x10", "0x10"),
        ("1e999", "1e999"),
        ("[1, [a, null], {b: '1', c: 1.5}]", [1, ["a", None], {"b": "1", "c": 1.5}]),
        ("{}", {}),
        ("${env:N}", "5"),
        ("$${secret:key}", "${secret:key}"),
    ],
)
def test_a_value_is_what_it_is_written_as(tmp_path: Path, written: str, value: Json) -> None:
    found = loaded(tmp_path, fixed(written, ""), {"N": "5"}).tools["git/*"].fixed["a"]
    assert (found, type(found)) == (value, type(value))


def test_a_secret_may_stand_in_any_text_of_a_value(tmp_path: Path) -> None:
    text = fixed("[{deep: 'x ${secret:file.user}'}, '${secret:key}']")
    block = loaded(tmp_path, text.replace("fixed:", "meta:")).tools["git/*"].meta["a"]
    assert templates.references(block[0]["deep"]) == ("file.user",)
    assert templates.references(block[1]) == ("key",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (fixed("'${secret:kex}'"), "9: no secret is named 'kex'; did you mean 'key'?"),
        (fixed("{b: [1, '${secret:key.x}']}"), "9: a secret of source env has no fields; write ${secret:key}"),
        (f"{GOOD}tools:\n  gti/*: {{fixed: {{a: 1}}}}\n", "7: no upstream is named 'gti'; did you mean 'git'?"),
        (f"{GOOD}tools:\n  git: {{fixed: {{a: 1}}}}\n", "7: `git` matches no tool: names are"),
        (f"{GOOD}tools:\n  'git/[': {{fixed: {{a: 1}}}}\n", "7: `git/[`, character 5"),
        (f"{GOOD}tools:\n  'prompt:git/*': {{fixed: {{a: 1}}}}\n", "7: `prompt:git/*` is about a prompt; write"),
        (f"{GOOD}tools:\n  git/*: {{fixed: [a]}}\n", "7: `fixed`: a mapping is expected here"),
        (f"{GOOD}tools:\n  git/*: {{meta: {{progressToken: 1}}}}\n", "7: the member progressToken of `_meta` belongs"),
        (f"{GOOD}tools:\n  git/*: {{meta: {{io.mcp/x: 1}}}}\n", "7: the member io.mcp/x of `_meta` belongs"),
        (f"{GOOD}tools:\n  git/*: {{fixd: {{}}}}\n", "7: unknown key 'fixd'; did you mean 'fixed'?"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    found = [one for one in faults(tmp_path, text) if "no upstream uses" not in one]
    assert len(found) == 1, found
    assert found[0].startswith(fault)


def test_a_secret_that_is_written_out_where_others_can_read_it_is_refused(tmp_path: Path) -> None:
    text = f"{GOOD}tools:\n  git/*:\n    fixed: {{api_key: abc, tokens: 5, page: x}}\n    meta: {{com.x/token: abc}}\n"
    assert faults(tmp_path, text) == []
    found = faults(tmp_path, text, mode=0o644)
    assert [one.partition(" is a secret")[0] for one in found] == ["8: api_key", "9: com.x/token"]
    assert not any("abc" in one for one in found)


def test_a_pattern_twice_names_both_places(tmp_path: Path) -> None:
    write(tmp_path, "tools:\n  git/*: {fixed: {a: 2}}\n", "more.yaml")
    text = f"{GOOD}tools:\n  git/*: {{fixed: {{a: 1}}}}\ninclude: [more.yaml]\n"
    assert faults(tmp_path, text) == [
        f"more.yaml:2: the pattern on tools git/* is at {tmp_path}/shim.yaml:7 already; rename one"
    ]


def test_a_secret_that_only_a_call_uses_is_used(tmp_path: Path) -> None:
    assert loaded(tmp_path, fixed("'${secret:key}${secret:file}'")).warnings == ()
