"""Laws that hold for every set of grants, and the engine held against a plain reading of the contract."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from shim.model import Decision, Identity, Json, Reason
from shim.policy.config import GrantBlock
from shim.policy.engine import Policy
from tests.policy.writing import facts, law

Args = dict[str, Json]
Truth = bool | None


def _present(args: Args, key: str) -> bool:
    return key in args


def _number(args: Args) -> Truth:
    n = args.get("n")
    return n < 5 if isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 2**63 else None


CONDITIONS: dict[str | None, Callable[[Args], Truth]] = {
    None: lambda args: True,
    "true": lambda args: True,
    "false": lambda args: False,
    "args.n < 5": _number,
    "has(args.s)": lambda args: _present(args, "s"),
    "args.s == 'yes'": lambda args: args["s"] == "yes" if "s" in args else None,
}
"""Each condition with what it means: true, false, or None for an error."""

PATTERNS = (
    "git/*",
    "git/git_*",
    "git/git_log",
    "*/git_log",
    "**",
    "**_log",
    "time/?ow",
    "[g-t]i*/*",
    "time/now",
    "*/*",
)
REFS = ("git/git_log", "git/git_reset", "git/x", "time/now", "time/get_log", "none/at_all")
IDENTITIES = (
    Identity("ann", ("developers", "leads")),
    Identity("bob", ("developers",)),
    Identity("cho"),
    Identity("developers"),
)
TO = ("ann", "bob", "cho", "group:developers", "group:leads", "group:none", "*")

_grants = st.lists(
    st.builds(
        lambda to, allow, deny, when: {"to": tuple(to), "allow": tuple(allow), "deny": tuple(deny), "when": when},
        st.lists(st.sampled_from(TO), max_size=2),
        st.lists(st.sampled_from(PATTERNS), max_size=2),
        st.lists(st.sampled_from(PATTERNS), max_size=1),
        st.sampled_from(list(CONDITIONS)),
    ),
    max_size=6,
).map(lambda made: [GrantBlock(name=f"grant-{at}", **block) for at, block in enumerate(made)])
_args = st.fixed_dictionaries(
    {},
    optional={
        "n": st.sampled_from([1, 9, 4.5, True, "1", None, 2**70, [1], {"a": 1}]),
        "s": st.sampled_from(["yes", "no"]),
    },
)
_identities = st.sampled_from(IDENTITIES)
_refs = st.sampled_from(REFS)


def _matches(pattern: str, ref: str) -> bool:
    signs = re.findall(r"\*\*|\*|\?|\[[^]]*\]|.", pattern)
    meaning = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(meaning.get(sign) or (sign if len(sign) > 1 else re.escape(sign)) for sign in signs)
    return re.fullmatch(expression, ref) is not None


def _concerns(grant: GrantBlock, patterns: tuple[str, ...], identity: Identity, ref: str) -> bool:
    names = {identity.name, "*", *(f"group:{group}" for group in identity.groups)}
    return bool(names & set(grant.to)) and any(_matches(pattern, ref) for pattern in patterns)


def _plainly(grants: list[GrantBlock], identity: Identity, ref: str, args: Args) -> tuple[Decision, bool]:
    """The decision and whether the tool is visible, read straight from the contract, grant by grant."""
    denies = [grant for grant in grants if _concerns(grant, grant.deny, identity, ref)]
    allows = [grant for grant in grants if _concerns(grant, grant.allow, identity, ref)]
    visible = bool(allows) and all(grant.when is not None for grant in denies)
    for grant in denies:
        if CONDITIONS[grant.when](args) is not False:
            return Decision("deny", Reason.DENIED_BY_GRANT, grant.name), visible
    for grant in allows:
        if CONDITIONS[grant.when](args) is True:
            return Decision("allow", Reason.GRANTED, grant.name), visible
    if not allows:
        return Decision("deny", Reason.NO_GRANT), visible
    failed = CONDITIONS[allows[0].when](args) is None
    reason = Reason.CONDITION_ERROR if failed else Reason.CONDITION_FALSE
    return Decision("deny", reason, allows[0].name), visible


@law
@given(_grants, _identities, _refs, _args)
def test_the_engine_agrees_with_a_plain_reading(
    grants: list[GrantBlock], identity: Identity, ref: str, args: Args
) -> None:
    policy = Policy(grants)
    expected = _plainly(grants, identity, ref, args)

    # Twice: the second answer comes from what was remembered.
    for _ in range(2):
        assert (policy.decide(identity, ref, facts(args)), policy.visible(identity, ref)) == expected


@law
@given(_grants, _identities, _refs, _args)
def test_what_is_allowed_is_visible(grants: list[GrantBlock], identity: Identity, ref: str, args: Args) -> None:
    policy = Policy(grants)

    if policy.decide(identity, ref, facts(args)).effect == "allow":
        assert policy.visible(identity, ref)
        assert policy.matching_grants(identity, ref)


@law
@given(_grants, _grants, st.integers(0, 6), _identities, _refs, _args)
def test_a_deny_more_never_widens(
    grants: list[GrantBlock], more: list[GrantBlock], place: int, identity: Identity, ref: str, args: Args
) -> None:
    denies = [grant.model_copy(update={"name": f"deny-{grant.name}", "allow": ()}) for grant in more]
    before, after = Policy(grants), Policy([*grants[:place], *denies, *grants[place:]])

    if before.decide(identity, ref, facts(args)).effect == "deny":
        assert after.decide(identity, ref, facts(args)).effect == "deny"
    if not before.visible(identity, ref):
        assert not after.visible(identity, ref)


@law
@given(_grants, _grants, st.integers(0, 6), _refs, _args)
def test_a_grant_for_another_changes_nothing_for_this_one(
    grants: list[GrantBlock], more: list[GrantBlock], place: int, ref: str, args: Args
) -> None:
    identity = IDENTITIES[2]
    others = [grant.model_copy(update={"name": f"other-{grant.name}", "to": ("bob", "group:leads")}) for grant in more]
    before, after = Policy(grants), Policy([*grants[:place], *others, *grants[place:]])

    assert before.decide(identity, ref, facts(args)) == after.decide(identity, ref, facts(args))
    assert before.visible(identity, ref) == after.visible(identity, ref)


@law
@given(_grants, _identities, _refs, _args)
def test_explain_and_decide_agree(grants: list[GrantBlock], identity: Identity, ref: str, args: Args) -> None:
    policy = Policy(grants)
    explained = policy.explain(identity, ref, facts(args))

    assert explained.decision == policy.decide(identity, ref, facts(args))
    assert [step.grant for step in explained.trail] == sorted(step.grant for step in explained.trail)
    denied = [step for step in explained.trail if step.reason is Reason.DENIED_BY_GRANT]
    allowed = [step for step in explained.trail if step.reason is Reason.GRANTED]
    if denied:
        assert (explained.decision.effect, explained.decision.grant) == ("deny", denied[0].grant)
    elif allowed:
        assert (explained.decision.effect, explained.decision.grant) == ("allow", allowed[0].grant)
    else:
        assert explained.decision.effect == "deny"
    for step in explained.trail:
        assert step.matched is (step.reason is not Reason.NO_GRANT)
        assert step.matched or step.condition is None


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


_CURIOUS = Policy(
    [
        GrantBlock(name=f"curious-{at}", to=("*",), allow=("x/y",), when=when)
        for at, when in enumerate(
            (
                "args.a == args.b || size(args.c) > 2",
                "args.a.b.c.startsWith('x')",
                "args.exists(k, args[k] == 1)",
                "args.c.all(x, x in args.b)",
                "string(args.a).contains(string(args.b)) || timestamp(args.c) < now",
            )
        )
    ]
)


@law
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), _json))
def test_no_arguments_make_deciding_raise(args: Args) -> None:
    assert _CURIOUS.decide(IDENTITIES[0], "x/y", facts(args)).effect in ("allow", "deny")
