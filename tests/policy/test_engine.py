"""Decisions: the semantics of grants, one rule of the contract at a time."""

from __future__ import annotations

import pytest

from shim.model import Decision, Identity, Reason
from shim.policy.config import GrantBlock
from shim.policy.engine import Policy
from tests.policy.writing import facts

ANN = Identity("ann", ("developers",))
BOB = Identity("bob")

READ = GrantBlock(name="read", to=("ann",), allow=("git/git_status", "git/git_diff*"))
COMMIT = GrantBlock(name="commit", to=("group:developers",), allow=("git/git_commit",), when="size(args.message) < 5")
NEVER = GrantBlock(name="never", to=("*",), deny=("git/git_reset",))


def _decide(grants: list[GrantBlock], ref: str, args: dict[str, object] | None = None, who: Identity = ANN) -> Decision:
    return Policy(grants).decide(who, ref, facts(args))


def test_nothing_is_allowed_without_a_grant() -> None:
    assert _decide([], "git/git_status") == Decision("deny", Reason.NO_GRANT)
    assert _decide([READ], "git/git_log") == Decision("deny", Reason.NO_GRANT)
    assert _decide([READ], "git/git_status", who=BOB) == Decision("deny", Reason.NO_GRANT)


def test_a_grant_allows_what_it_names() -> None:
    assert _decide([READ], "git/git_diff_staged") == Decision("allow", Reason.GRANTED, "read")


@pytest.mark.parametrize("to", ["bob", "group:ann", "developers", "group:*", "an*"])
def test_a_grant_is_for_whom_it_names_alone(to: str) -> None:
    grant = GrantBlock(name="g", to=(to,), allow=("git/*",))

    assert _decide([grant], "git/git_status").reason is Reason.NO_GRANT


def test_a_name_that_reads_like_a_group_is_not_in_it() -> None:
    grant = GrantBlock(name="g", to=("group:developers",), allow=("git/*",))

    assert _decide([grant], "git/x", who=Identity("group:developers")).reason is Reason.NO_GRANT


def test_a_deny_wins_over_any_allow_before_or_after_it() -> None:
    everything = GrantBlock(name="everything", to=("*",), allow=("**",))

    for grants in ([everything, NEVER], [NEVER, everything]):
        assert _decide(grants, "git/git_reset") == Decision("deny", Reason.DENIED_BY_GRANT, "never")
        assert _decide(grants, "git/git_log") == Decision("allow", Reason.GRANTED, "everything")


def test_one_grant_may_allow_and_deny() -> None:
    grant = GrantBlock(name="g", to=("ann",), allow=("git/*",), deny=("git/*reset*",))

    assert _decide([grant], "git/git_reset") == Decision("deny", Reason.DENIED_BY_GRANT, "g")
    assert _decide([grant], "git/git_log").effect == "allow"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"message": "ok"}, Decision("allow", Reason.GRANTED, "commit")),
        ({"message": "too long"}, Decision("deny", Reason.CONDITION_FALSE, "commit")),
        ({}, Decision("deny", Reason.CONDITION_ERROR, "commit")),
        ({"message": 7}, Decision("deny", Reason.CONDITION_ERROR, "commit")),
        ({"message": "ok\0 and what the condition does not see"}, Decision("deny", Reason.CONDITION_ERROR, "commit")),
    ],
)
def test_an_allow_counts_only_when_its_condition_is_true(args: dict[str, object], expected: Decision) -> None:
    assert _decide([COMMIT], "git/git_commit", args) == expected


@pytest.mark.parametrize(
    ("args", "effect", "reason"),
    [
        ({"force": True}, "deny", Reason.DENIED_BY_GRANT),
        ({"force": False}, "allow", Reason.GRANTED),
        ({}, "deny", Reason.DENIED_BY_GRANT),
        ({"force": 2**70}, "deny", Reason.DENIED_BY_GRANT),
    ],
)
def test_a_deny_with_a_condition_denies_unless_it_is_false(
    args: dict[str, object], effect: str, reason: Reason
) -> None:
    push = GrantBlock(name="push", to=("ann",), allow=("git/push",))
    forced = GrantBlock(name="no-force", to=("*",), deny=("git/push",), when="args.force == true")

    decision = _decide([push, forced], "git/push", args)

    assert (decision.effect, decision.reason) == (effect, reason)


def test_the_first_deny_that_denies_is_named() -> None:
    sometimes = GrantBlock(name="sometimes", to=("*",), deny=("git/git_reset",), when="args.hard == true")
    also = GrantBlock(name="also", to=("ann",), deny=("git/*",))

    assert _decide([sometimes, NEVER, also], "git/git_reset", {"hard": False}).grant == "never"
    assert _decide([sometimes, NEVER, also], "git/git_reset", {"hard": True}).grant == "sometimes"
    assert _decide([also, NEVER], "git/git_reset").grant == "also"


def test_what_is_remembered_of_a_name_is_not_used_for_other_groups() -> None:
    policy = Policy([COMMIT])
    args = facts({"message": "ok"})

    assert policy.decide(Identity("ann", ("developers",)), "git/git_commit", args).effect == "allow"
    assert policy.decide(Identity("ann"), "git/git_commit", args).effect == "deny"
    assert not policy.visible(Identity("ann", ("others",)), "git/git_commit")


def test_the_first_allow_whose_condition_holds_decides() -> None:
    grants = [
        GrantBlock(name="broken", to=("ann",), allow=("x/y",), when="args.missing == 1"),
        GrantBlock(name="small", to=("ann",), allow=("x/y",), when="args.n < 10"),
        GrantBlock(name="large", to=("ann",), allow=("x/y",), when="args.n < 100"),
    ]

    assert _decide(grants, "x/y", {"n": 5}) == Decision("allow", Reason.GRANTED, "small")
    assert _decide(grants, "x/y", {"n": 50}) == Decision("allow", Reason.GRANTED, "large")


def test_where_none_allows_the_first_that_matched_gives_the_reason() -> None:
    false = GrantBlock(name="false", to=("ann",), allow=("x/*",), when="args.n < 10")
    error = GrantBlock(name="error", to=("ann",), allow=("x/y",), when="args.missing == 1")
    other = GrantBlock(name="other", to=("bob",), allow=("x/y",))
    idle_deny = GrantBlock(name="idle", to=("ann",), deny=("x/y",), when="args.n == 0")

    assert _decide([other, idle_deny, false, error], "x/y", {"n": 50}) == Decision(
        "deny", Reason.CONDITION_FALSE, "false"
    )
    assert _decide([error, false], "x/y", {"n": 50}) == Decision("deny", Reason.CONDITION_ERROR, "error")
    assert _decide([idle_deny], "x/y", {"n": 50}) == Decision("deny", Reason.NO_GRANT)


def test_visible_is_what_is_allowed_and_not_unconditionally_denied() -> None:
    sometimes = GrantBlock(name="sometimes", to=("ann",), deny=("git/git_commit",), when="args.n == 0")
    policy = Policy([READ, COMMIT, NEVER, sometimes, GrantBlock(name="reset", to=("ann",), allow=("git/git_reset",))])

    assert policy.visible(ANN, "git/git_commit")
    assert policy.visible(ANN, "git/git_status")
    assert not policy.visible(ANN, "git/git_reset")
    assert not policy.visible(ANN, "git/git_log")
    assert not policy.visible(BOB, "git/git_status")


def test_matching_grants_are_those_that_allow_in_file_order() -> None:
    policy = Policy([COMMIT, GrantBlock(name="all", to=("*",), allow=("git/*",)), READ, NEVER])

    assert policy.matching_grants(ANN, "git/git_commit") == ("commit", "all")
    assert policy.matching_grants(ANN, "git/git_status") == ("all", "read")
    assert policy.matching_grants(ANN, "git/git_reset") == ()


def test_an_identity_in_several_ways_meant_is_granted_once() -> None:
    grant = GrantBlock(name="g", to=("ann", "group:developers", "*"), allow=("git/*", "git/git_*", "git/git_log"))

    assert Policy([grant]).matching_grants(ANN, "git/git_log") == ("g",)


def test_explain_tells_what_every_grant_had_to_say() -> None:
    policy = Policy([READ, COMMIT, GrantBlock(name="all", to=("ann",), allow=("git/*",)), NEVER])

    explained = policy.explain(ANN, "git/git_commit", facts({"message": 5})).to_json()

    assert explained["decision"] == "allow"
    assert explained["reason"] == "granted"
    assert explained["grant"] == "all"
    assert [(step["grant"], step["matched"], step["effect"], step["reason"]) for step in explained["trail"]] == [
        ("read", False, "allow", "no-grant"),
        ("commit", True, "allow", "condition-error"),
        ("all", True, "allow", "granted"),
        ("never", False, "deny", "no-grant"),
    ]
    conditions = [step["condition"] for step in explained["trail"]]
    assert conditions[0] is conditions[2] is conditions[3] is None
    assert conditions[1].startswith("error: ")


@pytest.mark.parametrize(
    ("args", "condition", "reason"),
    [
        ({"force": True}, "True", "denied-by-grant"),
        ({"force": False}, "False", "condition-false"),
        ({}, "error: ", "denied-by-grant"),
    ],
)
def test_explain_tells_how_a_conditional_deny_came_out(args: dict[str, object], condition: str, reason: str) -> None:
    forced = GrantBlock(name="no-force", to=("*",), deny=("git/push",), when="args.force == true")

    (step,) = Policy([forced]).explain(ANN, "git/push", facts(args)).trail

    assert str(step.condition).startswith(condition)
    assert step.reason == reason


def test_explain_without_a_grant_names_none() -> None:
    assert Policy([]).explain(ANN, "git/git_log", facts()).to_json() == {
        "decision": "deny",
        "reason": "no-grant",
        "grant": None,
        "trail": [],
    }


def test_a_name_of_megabytes_is_refused_without_being_matched_or_remembered() -> None:
    policy = Policy([GrantBlock(name="g", to=("*",), allow=("**?**", "git/*"))])

    assert policy.decide(ANN, "git/" + "a" * 1020, facts()).effect == "allow"
    assert policy.decide(ANN, "git/" + "a" * 4_000_000, facts()) == Decision("deny", Reason.NO_GRANT)
    assert not policy.visible(ANN, "git/" + "a" * 4_000_000)
    assert not policy.explain(ANN, "git/" + "a" * 4_000_000, facts()).trail[0].matched


def test_names_that_callers_make_up_do_not_change_later_decisions() -> None:
    policy = Policy([READ, NEVER])
    before = policy.decide(ANN, "git/git_status", facts())

    for n in range(40_000):
        assert policy.decide(ANN, f"git/made_up_{n}", facts()).reason is Reason.NO_GRANT

    assert policy.decide(ANN, "git/git_status", facts()) == before


@pytest.mark.parametrize(
    "grant",
    [
        GrantBlock(name="g", to=("ann",), allow=("git/[",)),
        GrantBlock(name="g", to=("ann",), allow=("git/*",), when="args.x"),
        GrantBlock(name="g", to=("ann",), allow=("git/*",), when='"untrusted" in run.labels'),
    ],
)
def test_a_grant_that_cannot_be_enforced_is_not_taken(grant: GrantBlock) -> None:
    with pytest.raises(ValueError):
        Policy([grant])
