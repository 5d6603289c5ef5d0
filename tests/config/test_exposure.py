"""What others could read or write, and who could come in without a credential."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.given import GOOD, faults, write

SHA = "5d1c6f0be2b74aa9c83e17f4906ad2b35e8801c7f6b94d2a9e7730c15ab8d46f"

SECRETS = [
    "url: https://x/mcp\n    headers: {Authorization: Bearer abc}",
    "url: https://x/mcp\n    headers: {cookie: abc}",
    "url: https://x/mcp\n    headers: {X-Api-Key: abc}",
    "url: https://x/mcp\n    headers: {PRIVATE-TOKEN: abc}",
    "command: [x]\n    env: {GITHUB_PERSONAL_ACCESS_TOKEN: abc}",
    "command: [x]\n    env: {OPENAI_API_KEY: abc}",
]


@pytest.mark.parametrize("lines", SECRETS)
def test_a_literal_secret_in_a_file_that_others_can_read_is_refused(tmp_path: Path, lines: str) -> None:
    text = f"version: 1\nupstreams:\n  a:\n    {lines}\n"
    for mode in (0o644, 0o640, 0o604):
        (found,) = faults(tmp_path, text, mode=mode)
        assert found.startswith("5: ")
        assert "write ${secret:NAME}, or chmod 600 it" in found
        assert "abc" not in found
    assert faults(tmp_path, text, mode=0o600) == []
    quoted = text.replace("Bearer abc", "abc").replace("abc", '"x ${env:A}"')
    assert faults(tmp_path, quoted, {"A": "abc"}, mode=0o644) == []
    named = quoted.replace("env:A", "secret:a") + "secrets: {a: {source: env, name: A}}\n"
    assert faults(tmp_path, named, mode=0o644) == []


def test_a_secret_in_an_included_file_counts_by_that_files_mode(tmp_path: Path) -> None:
    text = "upstreams: {a: {url: https://x/mcp, headers: {Authorization: abc}}}\n"
    write(tmp_path, text, "more.yaml", 0o644)
    assert faults(tmp_path, GOOD + "include: [more.yaml]\n")[0].startswith("more.yaml:1: Authorization is a secret")
    write(tmp_path, text, "more.yaml", 0o600)
    assert faults(tmp_path, GOOD + "include: [more.yaml]\n", mode=0o644) == []


def test_digests_alone_may_be_read_by_all(tmp_path: Path) -> None:
    write(tmp_path, f"me: [{{id: b, sha256: {'b' * 64}}}]\n", "tokens.yaml", 0o644)
    assert faults(tmp_path, GOOD + f"  a: {{tokens: [{{id: a, sha256: {SHA}}}]}}\n", mode=0o644) == []


def test_a_token_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    for mode in (0o620, 0o602, 0o666):
        write(tmp_path, f"me: [{{id: b, sha256: {'b' * 64}}}]\n", "tokens.yaml", mode)
        (found,) = faults(tmp_path, GOOD)
        assert found.startswith("tokens.yaml:1: group or others can write this file")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    for name in ("c.pem", "k.pem", "s.key"):
        write(tmp_path, "x", name, 0o640)
    text = """version: 1
record: {key: s.key}
server:
  tls: {cert: c.pem, key: k.pem}
upstreams:
  a:
    url: https://x/mcp
    tls:
      cert: c.pem
      key: k.pem
"""
    found = faults(tmp_path, text)
    assert [line.split(":")[0] for line in found] == ["2", "4", "10"]
    assert all("can read" in line and "chmod 600" in line for line in found)
    for name in ("k.pem", "s.key"):
        (tmp_path / name).chmod(0o600)
    assert faults(tmp_path, text) == []


def test_a_signing_key_that_is_yet_to_be_made_is_no_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, GOOD + "record: {key: shim.key}\n") == []


ANONYMOUS = GOOD + "  guest: {anonymous: true}\n"


def test_anonymous_is_for_this_machine_alone(tmp_path: Path) -> None:
    local = "server: {listen: '[::1]:80', url: http://localhost:80/mcp, allowed_hosts: [127.0.0.1, localhost:80]}\n"
    assert faults(tmp_path, ANONYMOUS) == []
    assert faults(tmp_path, ANONYMOUS + local) == []


@pytest.mark.parametrize(
    "line",
    [
        "listen: 0.0.0.0:80",
        "listen: example.com:80",
        "url: https://shim.example.com/mcp",
        "allowed_hosts: [localhost, shim.example.com]",
        "allowed_hosts: [localhost.example.com]",
    ],
)
def test_anonymous_is_refused_where_others_may_come(tmp_path: Path, line: str) -> None:
    found = faults(tmp_path, ANONYMOUS + f"server:\n  behind_proxy: true\n  {line}\n")
    assert len(found) == 1
    assert found[0].startswith("9: an anonymous identity is for this machine alone")


def test_a_token_is_used_once_over_all_files(tmp_path: Path) -> None:
    write(tmp_path, f"me:\n  - {{id: a, sha256: {'b' * 64}}}\n  - {{id: c, sha256: {SHA}}}\n", "tokens.yaml")
    text = GOOD + f"  one: {{tokens: [{{id: a, sha256: {SHA}}}]}}\n  two: {{tokens: [{{id: b, sha256: {SHA}}}]}}\n"
    assert faults(tmp_path, text) == [
        f"7: the digest of the token b is at {tmp_path}/shim.yaml:6 already; "
        "a token proves one identity: keep one of them",
        f"tokens.yaml:2: the token id a is at {tmp_path}/shim.yaml:6 already; choose another",
        f"tokens.yaml:3: the digest of the token c is at {tmp_path}/shim.yaml:6 already; "
        "a token proves one identity: keep one of them",
    ]


def test_tokens_of_nobody_are_a_warning(tmp_path: Path) -> None:
    write(tmp_path, f"gone:\n  - {{id: a, sha256: {SHA}}}\n", "tokens.yaml")
    assert faults(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("me: x\n", 1),
        ("me:\n  - {id: a}\n", 2),
        (f"me:\n  - {{id: a, sha256: {SHA}, other: 1}}\n", 2),
        (f"me:\n  - {{id: a, sha256: {SHA}}}\nme: []\n", 3),
        (f"me:\n  - {{id: a, sha256: {SHA}}}\n  - {{id: a, sha256: {'b' * 64}}}\n", 3),
        (f"me:\n  - id: a\n    sha256: {SHA}\n    expires: soon\n", 4),
        ("me: [\n", 2),
    ],
)
def test_a_broken_token_file_is_named_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    write(tmp_path, text, "tokens.yaml")
    found = faults(tmp_path, GOOD)
    assert len(found) == 1, found
    assert found[0].startswith(f"tokens.yaml:{line}: ")
