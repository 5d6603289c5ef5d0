"""What grants say of questions: which call may be asked what, and of whom anything may be asked at all."""

from __future__ import annotations

from shim.model import Identity
from shim.policy.check import faults
from shim.policy.config import GrantBlock
from shim.policy.engine import Policy
from tests.policy.writing import facts

ANN, BOB = Identity("ann", ("developers",)), Identity("bob")

ASKING = GrantBlock(
    name="asking",
    to=("group:developers",),
    allow=("git/git_commit", "prompt:git/*"),
    when="!has(args.quiet)",
    allow_from_upstream=("elicitation", "roots"),
)
SILENT = GrantBlock(name="silent", to=("*",), allow=("git/*",))


def test_the_grant_that_decides_says_what_may_be_asked() -> None:
    policy = Policy([ASKING, SILENT])

    assert policy.decide(ANN, "git/git_commit", facts()).may_ask == ("elicitation", "roots")
    assert policy.decide(ANN, "prompt:git/message", facts()).may_ask == ("elicitation", "roots")
    assert policy.decide(ANN, "git/git_commit", facts({"quiet": True})).may_ask == ()
    assert policy.decide(ANN, "git/git_log", facts()).may_ask == ()
    assert policy.decide(BOB, "git/git_commit", facts()).may_ask == ()


def test_a_denied_call_is_asked_nothing() -> None:
    never = GrantBlock(name="never", to=("*",), deny=("git/git_commit",))

    decision = Policy([ASKING, never]).decide(ANN, "git/git_commit", facts())

    assert (decision.effect, decision.may_ask) == ("deny", ())


def test_of_whom_nothing_may_be_asked_in_any_call_is_known_beforehand() -> None:
    assert Policy([ASKING, SILENT]).may_be_asked(ANN)
    assert not Policy([ASKING, SILENT]).may_be_asked(BOB)
    assert not Policy([SILENT]).may_be_asked(ANN)


def test_what_may_be_asked_belongs_to_what_is_allowed() -> None:
    (fault,) = faults(GrantBlock(name="g", to=("*",), deny=("git/*",), allow_from_upstream=("sampling",)))

    assert (fault.path, fault.level) == (("allow_from_upstream",), "error")
    assert "belongs to a grant with `allow`" in fault.message
    assert faults(ASKING) == []
