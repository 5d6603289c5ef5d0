"""Scopes: a grant applies to tokens that carry all of its own, and what is visible does not hang on them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shim.model import Decision, Identity, Reason
from shim.policy.config import GrantBlock
from shim.policy.engine import Policy
from tests.policy.writing import facts

ANN = Identity("ann")
READ = GrantBlock(name="read", to=("ann",), allow=("git/*",), scopes=("git.read", "git"))
SHORT = GrantBlock(name="short", to=("ann",), allow=("git/*",), when="size(args.m) < 3", scopes=("git.short",))
FREE = GrantBlock(name="free", to=("ann",), allow=("git/log",))


def decide(grants: list[GrantBlock], *carried: str, ref: str = "git/log", m: str = "") -> Decision:
    return Policy(grants).decide(ANN, ref, replace(facts({"m": m}), scopes=frozenset(carried)))


@pytest.mark.parametrize("carried", [(), ("git",), ("git.read",), ("git.", "GIT", "git.read "), ("git.*", "*")])
def test_all_scopes_must_be_carried_by_their_exact_names(carried: tuple[str, ...]) -> None:
    assert decide([READ], *carried) == Decision("deny", Reason.INSUFFICIENT_SCOPE, "read", ("git.read", "git"))


def test_more_scopes_do_no_harm() -> None:
    assert decide([READ], "git", "git.read", "x") == Decision("allow", Reason.GRANTED, "read")


def test_a_grant_whose_scopes_are_missing_leaves_it_to_the_next() -> None:
    assert decide([READ, FREE]) == Decision("allow", Reason.GRANTED, "free")
    assert decide([READ, SHORT], "git.short") == Decision("allow", Reason.GRANTED, "short")


def test_scopes_are_asked_for_only_where_they_would_help() -> None:
    # The first whose condition holds is the one to ask for; where none holds, it is the condition that refuses
    assert decide([SHORT, READ], m="long") == Decision("deny", Reason.INSUFFICIENT_SCOPE, "read", READ.scopes)
    assert decide([SHORT, READ]) == Decision("deny", Reason.INSUFFICIENT_SCOPE, "short", SHORT.scopes)
    assert decide([SHORT], m="long") == Decision("deny", Reason.CONDITION_FALSE, "short")


def test_a_deny_asks_for_nothing() -> None:
    never = GrantBlock(name="never", to=("*",), deny=("git/log",))
    assert decide([READ, never]) == Decision("deny", Reason.DENIED_BY_GRANT, "never")
    assert not Policy([READ, never]).visible(ANN, "git/log")
    sometimes = GrantBlock(name="sometimes", to=("*",), deny=("git/log",), when="args.m == 'x'")
    assert decide([READ, sometimes], m="x") == Decision("deny", Reason.DENIED_BY_GRANT, "sometimes")
    assert decide([READ, sometimes], m="y").reason is Reason.INSUFFICIENT_SCOPE


def test_what_goes_on_with_a_call_is_denied_by_the_deny_that_hides_it() -> None:
    sometimes = GrantBlock(name="sometimes", to=("*",), deny=("git/log",), when="args.m == 'x'")
    never = GrantBlock(name="never", to=("*",), deny=("git/log",))
    found = Policy([FREE, sometimes, never]).goes_on(ANN, "git/log", "free", frozenset())
    assert found == Decision("deny", Reason.DENIED_BY_GRANT, "never")
    assert Policy([never]).goes_on(ANN, "git/log", "free", frozenset()) == found
    assert Policy([READ]).goes_on(Identity("bob"), "git/log", "read", frozenset()).reason is Reason.NO_GRANT


def test_what_is_visible_does_not_hang_on_scopes() -> None:
    assert Policy([READ]).visible(ANN, "git/log")
    assert not Policy([READ]).visible(Identity("bob"), "git/log")
    assert decide([], "git", "git.read") == Decision("deny", Reason.NO_GRANT)


def test_the_scopes_without_which_nothing_works() -> None:
    deny = GrantBlock(name="never", to=("*",), deny=("git/x",))
    both = GrantBlock(name="both", to=("ann",), allow=("git/*",), scopes=("git", "other"))
    assert Policy([]).basic_scopes == Policy([deny]).basic_scopes == Policy([READ, FREE]).basic_scopes == ()
    assert Policy([READ, deny, both]).basic_scopes == ("git",)
    assert Policy([READ]).basic_scopes == ("git.read", "git")


def test_explaining_says_which_rule_lacks_what() -> None:
    found = Policy([READ, FREE]).explain(ANN, "git/status", facts())
    assert [step.reason for step in found.trail] == [Reason.INSUFFICIENT_SCOPE, Reason.NO_GRANT]
    assert found.decision.grant == "read"
