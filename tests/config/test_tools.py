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


def said(*lines: str) -> str:
    return f"{GOOD}tools:\n" + "".join(f"  {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (said("git/a: {rename: a/b}"), "7: 'a/b' does not fit: a tool's name has letters, digits"),
        (said("git/a: {rename: ''}"), "7: '' does not fit: a tool's name has letters, digits"),
        (said("git/a: {rename: 'a b'}"), "7: 'a b' does not fit: a tool's name has letters, digits"),
        (said("git/a: {rename: ünter}"), "7: 'ünter' does not fit: a tool's name has letters, digits"),
        (said(f"git/a: {{rename: {'a' * 65}}}"), "7: "),
        (said(f"git/a: {{rename: {'a' * 60}}}"), f"7: git__{'a' * 60} is longer than 64 characters, with the upstream"),
        (said("'*/a': {rename: b}"), "7: `rename` is for one tool, and `*/a` is about any upstream; name one"),
        (
            said("git/a: {rename: c}", "git/b*: {rename: c}"),
            "8: git__c is what tools are renamed to at {folder}/shim.yaml:7 already; choose another name",
        ),
        (said("git/a: {description: ''}"), "7: `description` "),
        (said("git/a: {timeout: 0s}"), "7: `timeout` "),
        (said("git/a: {timeout: soon}"), "7: 'soon' is not a duration"),
        (said("git/a: {hide: {a: 1}}"), "7: `hide`: a list is expected here"),
        (said("git/a: {default: {a: '${secret:key}'}}"), "7: a secret is handed to an upstream in its"),
        (said("git/a: {description: '${secret:key}'}"), "7: a secret is handed to an upstream in its"),
        (said("git/a: {default: {a: 1}, fixed: {a: 2}}"), "7: `default` gives 'a' a value that never counts"),
        (said("git/a: {labels: [external]}"), "7: not supported by this version: `labels`"),
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
    assert found[0].startswith(fault.replace("{folder}", str(tmp_path)))


def test_a_secret_that_is_written_out_where_others_can_read_it_is_refused(tmp_path: Path) -> None:
    text = f"{GOOD}tools:\n  git/*:\n    fixed: {{api_key: abc, tokens: 5, page: x}}\n    meta: {{com.x/token: abc}}\n"
    assert faults(tmp_path, text) == []
    found = faults(tmp_path, text, mode=0o644)
    assert [one.partition(" is a secret")[0] for one in found] == ["8: api_key", "9: com.x/token"]
    assert not any("abc" in one for one in found)


def test_what_is_said_of_a_tool_is_read_by_type_and_defaults_as_any_json(tmp_path: Path) -> None:
    text = said("git/a*: {rename: 12, description: No., hide: [a, 1], default: {b: 7, c: '7'}, timeout: 90s}")
    block = loaded(tmp_path, text).tools["git/a*"]
    assert (block.rename, block.description, block.hide, block.timeout) == ("12", "No.", ("a", "1"), 90.0)
    assert block.default == {"b": 7, "c": "7"}


def test_a_default_that_is_a_secret_is_refused_where_others_can_read_it(tmp_path: Path) -> None:
    text = said("git/a: {default: {password: abc}}")
    assert faults(tmp_path, text, mode=0o644)[0].startswith("7: password is a secret")


def test_a_pattern_twice_names_both_places(tmp_path: Path) -> None:
    write(tmp_path, "tools:\n  git/*: {fixed: {a: 2}}\n", "more.yaml")
    text = f"{GOOD}tools:\n  git/*: {{fixed: {{a: 1}}}}\ninclude: [more.yaml]\n"
    assert faults(tmp_path, text) == [
        f"more.yaml:2: the pattern on tools git/* is at {tmp_path}/shim.yaml:7 already; rename one"
    ]


def test_a_secret_that_only_a_call_uses_is_used(tmp_path: Path) -> None:
    assert loaded(tmp_path, fixed("'${secret:key}${secret:file}'")).warnings == ()


def test_a_secret_is_never_put_into_a_command_line(tmp_path: Path) -> None:
    text = """version: 1
upstreams:
  u:
    program: git
    tools:
      t:
        run: [log, "--author={a}", "{f}", ["{l}"], {c: {x: -v}}]
        stdin: {json: "{s}"}
        input:
          a: {type: string, maxLength: 9}
          f: {type: string, maxLength: 9, as: file}
          l: {type: array, items: {type: string, maxLength: 9}, maxItems: 3, optional: true}
          s: {type: string, maxLength: 9}
          c: {enum: [x]}
identities:
  me: {local: true}
secrets:
  key: {source: env, name: KEY}
tools:
  "*/t": {fixed: {f: "${secret:key}", s: "${secret:key}", c: "${secret:key}"}}
  u/*: {fixed: {a: plain}}
"""
    assert loaded(tmp_path, text).tools
    for value in ('"x ${secret:key}"', '["${secret:key}"]'):
        for name in ("a", "l"):
            (said,) = faults(tmp_path, text.replace("a: plain", f"{name}: {value}"))
            assert said.startswith(f"21: {name} of u/t stands in a command line")
