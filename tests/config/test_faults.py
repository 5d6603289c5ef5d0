"""Every class of fault is found, with its line, what is wrong, and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.config.loader import load
from shim.errors import ConfigurationError
from tests.config.given import GOOD, faults, write

SHA = "5d1c6f0be2b74aa9c83e17f4906ad2b35e8801c7f6b94d2a9e7730c15ab8d46f"


def grant(lines: str) -> str:
    return GOOD + "grants:\n  - name: look\n    to: [me]\n" + lines


ONE_FAULT: list[tuple[str, str, int, str]] = [
    ("not YAML", "version: 1\nupstreams: {\n", 3, "not YAML"),
    ("a tab", "version: 1\nupstreams:\n\tgit: {}\n", 3, "indent with spaces"),
    ("two documents", GOOD + "---\nversion: 1\n", 6, "keep one"),
    ("a list", "- version: 1\n", 1, "write `key: value` lines"),
    ("a text", "version\n", 1, "write `key: value` lines"),
    ("a tag", GOOD + "grants: !!seq []\n", 6, "a tag"),
    ("a tag on a key", GOOD + "!!str grants: []\n", 6, "a tag"),
    ("an unknown alias", GOOD + "grants: *x\n", 6, "undefined alias"),
    ("a key that is a list", GOOD + "? [a]\n: 1\n", 6, "a key is not text"),
    ("a key twice", GOOD + "grants: []\nupstreams: {}\n", 7, "the key 'upstreams' is here a second time"),
    ("a merge key", GOOD + "<<: {}\n", 6, "merge keys"),
    ("a NUL in a value", GOOD + 'store: "sqlite:\\0"\n', 6, "NUL"),
    ("no version", "upstreams: {}\n", 1, "`version` is missing"),
    ("another version", "version: 2\nupstreams: {}\n", 1, "this version reads `version: 1`, not '2'"),
    ("a version without a value", "version:\nupstreams: {}\n", 1, "`version` has no value"),
    ("no upstreams", "version: 1\n", 1, "`upstreams` is missing"),
    ("an unknown key", GOOD + "upstraems: {}\n", 6, "did you mean 'upstreams'?"),
    ("an unknown key far from all", GOOD + "zzz: {}\n", 6, "known here are"),
    ("an unknown key below", GOOD + "record:\n  argumens: full\n", 7, "did you mean 'arguments'?"),
    ("a list where a mapping belongs", "version: 1\nupstreams:\n  - git\n", 2, "a mapping is expected"),
    ("a text where a list belongs", grant("    allow: git/x\n"), 9, "a list is expected"),
    ("a list where a text belongs", grant("    when: [a]\n"), 9, "text is expected"),
    ("an empty item", grant("    allow:\n      - git/x\n      -\n"), 11, "item 2 has no value"),
    ("an empty text", grant("    when:\n"), 9, "`when` has no value"),
    ("a null", grant("    when: null\n"), 9, "`when` has no value"),
    ("no boolean", GOOD + "server: {behind_proxy: maybe}\n", 6, "true or false"),
    ("no number", GOOD + "  a: {pool: {max: many}}\n", 6, "unknown key 'pool'"),
    ("no choice", GOOD + "record:\n  arguments: redacte\n", 7, "did you mean 'redacted'?"),
    ("no duration", "version: 1\nupstreams:\n  a:\n    url: https://x/mcp\n    timeout: 30\n", 5, "such as 30s"),
    ("no size", GOOD + "server:\n  max_request: much\n", 7, "such as 64KiB"),
    ("a size of nothing", GOOD + "server:\n  max_request: 0\n", 7, "greater than 0"),
    ("two kinds", "version: 1\nupstreams:\n  a:\n    url: https://x/mcp\n    command: [x]\n", 3, "exactly one of"),
    ("no program", "version: 1\nupstreams:\n  a:\n    command: []\n", 4, "`command` is empty"),
    ("no function", "version: 1\nupstreams:\n  a:\n    python: []\n", 4, "`python` is empty"),
    ("a file of functions", "version: 1\nupstreams:\n  a:\n    python: [tools.py]\n", 4, "package.module:function"),
    ("two functions of a name", "version: 1\nupstreams:\n  a:\n    python: ['m:f', 'n:f']\n", 4, "are named f"),
    ("a function twice", "version: 1\nupstreams:\n  a:\n    python: ['m:f', 'm:f']\n", 4, "stands there twice"),
    (
        "no interpreter",
        "version: 1\nupstreams:\n  a:\n    python: ['m:f']\n    interpreter: ./none\n",
        5,
        "no file",
    ),
    (
        "modules of elsewhere",
        "version: 1\nupstreams:\n  a:\n    python: ['m:f']\n    env: {A: b, PYTHONPATH: /srv}\n",
        5,
        "PYTHONPATH changes what is loaded",
    ),
    (
        "an interpreter of a server",
        "version: 1\nupstreams:\n  a:\n    command: [x]\n    interpreter: y\n",
        5,
        "belongs to an upstream with `python`",
    ),
    (
        "an era of functions",
        "version: 1\nupstreams:\n  a:\n    python: ['m:f']\n    era: 2025-11-25\n",
        5,
        "leave it out",
    ),
    (
        "no parameter",
        "version: 1\nupstreams:\n  a:\n    python: ['m:f']\n    inject: {a-b: c}\n",
        5,
        "named as in Python",
    ),
    (
        "a secret as interpreter",
        "version: 1\nupstreams:\n  a:\n    python: ['m:f']\n    interpreter: ${secret:x}\n",
        5,
        "stands nowhere else",
    ),
    ("a bad name", "version: 1\nupstreams:\n  A__b: {command: [x]}\n", 3, "single `_`"),
    ("a bad identity", GOOD + "  'a b': {}\n", 6, "begins with a letter or a digit"),
    ("a bad digest", GOOD + f"  a: {{tokens: [{{id: x, sha256: {SHA[:-1]}}}]}}\n", 6, "never the token itself"),
    ("a digest that looks like a number", GOOD + "  a: {tokens: [{id: x, sha256: 0e12}]}\n", 6, "64 digits"),
    (
        "a bad expiry",
        GOOD + f"  a:\n    tokens:\n    - id: x\n      sha256: {SHA}\n      expires: soon\n",
        10,
        "RFC 3339",
    ),
    ("a reserved token id", GOOD + f"  a: {{tokens: [{{id: local, sha256: {SHA}}}]}}\n", 6, "choose another"),
    ("an address without a port", GOOD + "server:\n  listen: localhost\n", 7, "write HOST:PORT"),
    ("a port that is none", GOOD + "server:\n  listen: localhost:65536\n", 7, "write HOST:PORT"),
    ("an open address", GOOD + "server:\n  listen: 0.0.0.0:8765\n", 7, "add `tls`, or `behind_proxy: true`"),
    ("an open IPv6 address", GOOD + "server:\n  listen: '[::]:8765'\n", 7, "add `tls`"),
    ("a bad URL", GOOD + "server:\n  url: shim.example.com/mcp\n", 7, "write https://HOST/mcp"),
    ("a URL that holds a password", GOOD + "server:\n  url: https://u:p@h/mcp\n", 7, "name or password"),
    ("a host with a scheme", GOOD + "server:\n  allowed_hosts: [https://h]\n", 7, "write HOST or HOST:PORT"),
    ("no store", GOOD + "store: mysql:x\n", 6, "sqlite:PATH"),
    (
        "a missing certificate",
        GOOD + "server:\n  tls: {cert: /none.pem, key: shim.yaml}\n",
        7,
        "there is no file /none.pem",
    ),
    ("an unknown identity", grant("    allow: []\n").replace("[me]", "[mee]"), 8, "did you mean 'me'?"),
    ("an unknown upstream", grant("    allow:\n      - git/a\n      - gti/b\n"), 11, "did you mean 'git'?"),
    ("an unknown upstream in a deny", grant("    deny: [gti/b]\n"), 9, "did you mean 'git'?"),
    ("a deny for nobody", grant("    deny: [git/b]\n").replace("[me]", "['group:peple']"), 8, "did you mean 'people'?"),
    ("a pattern that cannot match", grant("    deny: ['*']\n"), 9, "write `*/*` or `**`"),
    ("a broken pattern", grant("    allow: ['git/[a']\n"), 9, "character"),
    ("a grant without a name", GOOD + "grants:\n  - to: [me]\n", 7, "`name` is missing"),
    ("two anonymous identities", GOOD + "  a: {anonymous: true}\n  b:\n    anonymous: true\n", 8, "at most"),
    ("an unset variable", GOOD + "store: sqlite:${env:NOWHERE}/x\n", 6, "NOWHERE is not set"),
    ("a placeholder that is none", GOOD + "store: sqlite:${HOME}/x\n", 6, "$${ for a literal ${"),
    ("a placeholder that is not closed", GOOD + "store: sqlite:${env:HOME\n", 6, "is not closed"),
    ("an include of nothing", GOOD + "include:\n  - policy/*.yaml\n", 7, "no file matches 'policy/*.yaml'"),
    ("an include of itself", GOOD + "include: ['*.yaml']\n", 6, "read already"),
]


@pytest.mark.parametrize(("text", "line", "message"), [c[1:] for c in ONE_FAULT], ids=[c[0] for c in ONE_FAULT])
def test_a_fault_is_named_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    found = faults(tmp_path, text)
    assert len(found) == 1, found
    assert found[0].startswith(f"{line}: ")
    assert message in found[0]


NOT_YET = [
    ("server:\n  metrics: 127.0.0.1:9765\n", 7),
    ("store: postgresql://user@host/db\n", 6),
    ("record:\n  retain: 400d\n", 7),
    ("  you: {limits: {rate: 1/min}}\n", 6),
    ("tools:\n  git/*:\n    labels: [external]\n", 8),
    ("enforce: true\n", 6),
    *(
        (f"grants:\n- name: a\n  {line}\n", 8)
        for line in (
            "approval: {by: [me]}",
            "limits: {rate: 1/min}",
            "timeout: 30s",
            "max_result: 1MiB",
            "enforce: true",
            "when: '\"untrusted\" in run.labels'",
        )
    ),
]
UPSTREAM_KEYS = [
    "pins: hold",
]


@pytest.mark.parametrize(("text", "line"), NOT_YET)
def test_what_is_not_enforced_yet_is_refused(tmp_path: Path, text: str, line: int) -> None:
    found = faults(tmp_path, GOOD + text)
    assert len(found) == 1, found
    assert found[0].startswith(f"{line}: ")
    assert "not supported by this version" in found[0]


@pytest.mark.parametrize("key", UPSTREAM_KEYS)
def test_what_an_upstream_cannot_have_yet_is_refused_once(tmp_path: Path, key: str) -> None:
    found = faults(tmp_path, f"version: 1\nupstreams:\n  a:\n    {key}\n    command: [x]\n")
    assert len(found) == 1, found
    assert found[0].startswith("4: not supported by this version")


def test_all_faults_come_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = """version: 3
server:
  listen: 0.0.0.0:1
  tls: {cert: c}
upstreams:
  git:
    command: mcp-server-git
    pins: hold
  git: {}
identities:
  me: {jwt: {sub: x}, groups: [a b]}
grants:
  - name: one
    to: [you]
    allow: [svn/log, "git/[x"]
    when: size(args.message <
      3
  - name: one
    to: [me]
"""
    lines = [int(fault.split(":")[0]) for fault in faults(tmp_path, text)]
    assert lines == [1, 4, 7, 8, 9, 11, 11, 14, 15, 15, 17, 18]


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.yaml", tmp_path, Path("\0")):
        with pytest.raises(ConfigurationError) as caught:
            load(path, {})
        assert str(caught.value).startswith(f"{path}:1: ")


def test_what_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    assert faults(tmp_path, b"version: 1\n# \xff\n")[0].startswith("2: byte 0xff is not UTF-8")
    assert faults(tmp_path, "version: 1\n".encode("utf-16"))[0].startswith("1: byte 0xff is not UTF-8")
    assert faults(tmp_path, b"version: 1\nupstreams: \x07\n")[0].startswith("2: a control character (U+0007)")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, "\ufeff" + GOOD) == []


def test_what_would_grow_or_recurse_without_bound_is_refused(tmp_path: Path) -> None:
    laughs = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    assert "aliases repeat more than 1000 values" in faults(tmp_path, laughs)[0]
    assert "an alias stands inside what it repeats" in faults(tmp_path, "upstreams: &u {a: *u}\n")[0]
    assert "deeper than 32" in faults(tmp_path, "[" * 1_000_000)[0]
    assert "deeper than 32" in faults(tmp_path, "{? " * 100_000)[0]
    assert "longer than 8 MiB" in faults(tmp_path, b"#" * (8 * 2**20 + 1))[0]
    assert "holds more than 300000 values" in faults(tmp_path, "[" + "a," * 300_001 + "]")[0]


def test_faults_without_end_are_cut(tmp_path: Path) -> None:
    assert len(faults(tmp_path, "".join(f"k{i}: 1\n" for i in range(3000)))) == 1000


def test_a_warning_stops_nothing(tmp_path: Path) -> None:
    configuration = load(write(tmp_path, grant("    allow: [git/x]\n").replace("[me]", "[me, 'group:x']")), {})
    assert [(w.line, w.level) for w in configuration.warnings] == [(8, "warning")]
