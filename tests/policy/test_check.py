"""Faults of grants as they are written, with their places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.policy.check import faults
from shim.policy.config import GrantBlock
from shim.policy.engine import Policy
from tests.policy.writing import law


def _one(pattern: str) -> tuple[str, str]:
    (fault,) = faults(GrantBlock(name="g", to=("*",), allow=("git/git_log", pattern)))
    assert fault.path == ("allow", 1)
    assert fault.offset is None
    return fault.level, fault.message


def test_a_sound_grant_has_no_faults() -> None:
    grant = GrantBlock(
        name="g", to=("ann", "group:x", "*"), allow=("git/*", "**"), deny=("*/x",), when="size(args.x) < 5"
    )

    assert faults(grant) == []
    assert faults(GrantBlock(name="empty")) == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "matches nothing"),
        ("git/[", "`[` without its `]`"),
        ("git/\\", "quotes nothing"),
        ("template:git/file:///{x}", "write `resource:`"),
        ("tool:git/log", "no kind `tool:`"),
        ("git/" + "a" * 1024, "at most 1,024 characters"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_an_error(pattern: str, message: str) -> None:
    level, text = _one(pattern)

    assert level == "error"
    assert message in text


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("git_log", "matches no tool"), ("*", "matches no tool"), ("/log", "names no upstream")],
)
def test_an_allow_that_matches_nothing_is_warned_about_and_such_a_deny_is_an_error(pattern: str, message: str) -> None:
    level, text = _one(pattern)
    assert level == "warning"
    assert message in text
    (fault,) = faults(GrantBlock(name="g", to=("*",), deny=(pattern,)))
    assert fault.level == "error"


def test_braces_are_warned_about_unless_quoted() -> None:
    assert _one("git/{push,reset}")[0] == "warning"
    assert faults(GrantBlock(name="g", deny=("git/\\{push,reset\\}", "git/a:b"))) == []


def test_a_template_of_resources_is_no_pattern_of_them() -> None:
    # as `tools` shows it: with it the template would be seen, and nothing that it leads to read
    level, message = _one("resource:docs/note://{id}")
    assert level == "warning"
    assert "write `*` or `**`" in message
    assert faults(GrantBlock(name="g", to=("*",), allow=("resource:docs/note://\\{id\\}", "git/{id}"))) == []


def test_faults_of_a_condition_have_their_offsets() -> None:
    found = faults(GrantBlock(name="g", to=("*",), allow=("x/y",), when="args.a == 1 &&\n foo &&\n bar"))

    assert [(fault.path, fault.offset, fault.level) for fault in found] == [
        (("when",), 16, "error"),
        (("when",), 24, "error"),
    ]


def test_all_faults_come_at_once() -> None:
    found = faults(GrantBlock(name="g", to=("group:",), allow=("x",), deny=("resource:x",), when="args.x"))

    assert [fault.path for fault in found] == [("to", 0), ("allow", 0), ("deny", 0), ("when",)]


@law
@given(
    st.text(st.sampled_from("ab/*?[]!-^\\:{,}\0é"), max_size=8),
    st.text(st.sampled_from("args.x=1'&|!() "), max_size=12),
)
def test_what_has_no_error_is_taken(pattern: str, when: str) -> None:
    grant = GrantBlock(name="g", to=("*",), allow=(pattern,), when=when)

    if not any(fault.level == "error" for fault in faults(grant)):
        assert [rule.grant for rule in Policy([grant]).rules] == ["g"]
