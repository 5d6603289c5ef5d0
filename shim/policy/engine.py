"""Grants compiled once and indexed, and the decision on one call.

Grants count in file order. Any matching deny wins; one with a condition denies unless that is false, so that an error
in it denies. Of the matching allows the first whose condition is true, and whose scopes the caller's token carries,
decides. Where only scopes are missing, the reason is `insufficient-scope` and the grant the first of those; else reason
and grant are those of the first allow that matched; where none matched, the reason is `no-grant`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from shim.model import Decision, Identity, Offered, Reason
from shim.policy.check import Fault
from shim.policy.conditions import Condition, Facts, Scope, Verdict
from shim.policy.config import GrantBlock
from shim.policy.explanation import Explanation, Step
from shim.policy.index import RuleIndex
from shim.policy.lint import lint
from shim.policy.patterns import Pattern, split
from shim.policy.uris import MAX_URI

MAX_NAME = 1024
"""A longer `upstream/tool` is matched by nothing, so that deciding on a name of megabytes costs nothing."""

_MAX_REF = MAX_URI + 256

_MEMO_NAME = 256
_MEMO_SIZE = 16_384

_NO_GRANT = Decision("deny", Reason.NO_GRANT)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One effect of one grant. `order` is its place among all rules, which is file order."""

    order: int
    grant: str
    to: frozenset[str]
    effect: Literal["allow", "deny"]
    patterns: tuple[Pattern, ...]
    condition: Condition | None
    scopes: tuple[str, ...] = ()
    may_ask: tuple[str, ...] = ()
    bind: tuple[tuple[str, str], ...] = ()

    def matches(self, principals: frozenset[str], ref: str) -> bool:
        if self.to.isdisjoint(principals):
            return False
        return any(one.allows(ref) if self.effect == "allow" else one.denies(ref) for one in self.patterns)

    def decision(self, verdict: Verdict, carried: frozenset[str]) -> Decision:
        """What this rule alone makes of a call that it matches, when its condition says `verdict`.

        `carried` are the scopes of the caller's token.
        """
        if self.effect == "deny":
            if verdict is False:
                return Decision("deny", Reason.CONDITION_FALSE, self.grant)
            return Decision("deny", Reason.DENIED_BY_GRANT, self.grant)
        if verdict is True and not carried.issuperset(self.scopes):
            return Decision("deny", Reason.INSUFFICIENT_SCOPE, self.grant, self.scopes)
        if verdict is True:
            return Decision("allow", Reason.GRANTED, self.grant, may_ask=self.may_ask, bind=self.bind)
        return Decision("deny", Reason.CONDITION_FALSE if verdict is False else Reason.CONDITION_ERROR, self.grant)


@dataclass(frozen=True, slots=True)
class _Resolved:
    """The rules that match one identity and one name, in file order; `fixed` where no condition can change anything."""

    denies: tuple[Rule, ...]
    allows: tuple[Rule, ...]
    fixed: Decision | None
    visible: bool


_Key: TypeAlias = tuple[str, tuple[str, ...], str]

_NOTHING = _Resolved((), (), _NO_GRANT, visible=False)


def compile_rules(grants: Iterable[GrantBlock], conditions: Mapping[str, Condition]) -> tuple[Rule, ...]:
    """The rules of all grants, in file order; `conditions` holds that of each `when`."""
    rules: list[Rule] = []
    for grant in grants:
        condition = None if grant.when is None else conditions[grant.when]
        effects: tuple[tuple[Literal["allow", "deny"], tuple[str, ...]], ...]
        effects = (("allow", grant.allow), ("deny", grant.deny))
        for effect, patterns in effects:
            if patterns:
                compiled = tuple(map(Pattern.of, patterns))
                order, to = len(rules), frozenset(grant.to)
                may_ask = grant.allow_from_upstream if effect == "allow" else ()
                bind = tuple(sorted(grant.bind.items())) if effect == "allow" else ()
                rules.append(Rule(order, grant.name, to, effect, compiled, condition, grant.scopes, may_ask, bind))
    return tuple(rules)


def _principals(identity: Identity) -> tuple[str, ...]:
    # A name that reads like a group must not enter that group.
    own = () if identity.name.startswith("group:") else (identity.name,)
    return (*own, *(f"group:{group}" for group in identity.groups), "*")


def _resolve(rules: Iterable[Rule]) -> _Resolved:
    ordered = sorted(rules, key=lambda rule: rule.order)
    denies = tuple(rule for rule in ordered if rule.effect == "deny")
    allows = tuple(rule for rule in ordered if rule.effect == "allow")
    fixed = None
    if denies:
        if denies[0].condition is None:
            fixed = denies[0].decision(True, frozenset())
    elif not allows:
        fixed = _NO_GRANT
    elif allows[0].condition is None and not allows[0].scopes:
        fixed = allows[0].decision(True, frozenset())
    visible = bool(allows) and all(rule.condition is not None for rule in denies)
    return _Resolved(denies, allows, fixed, visible)


def _is_too_long(ref: str) -> bool:
    return len(ref) > MAX_NAME and (len(ref) > _MAX_REF or split(ref)[0] in ("tool", "prompt"))


class Policy:
    """Decides. Immutable once compiled, but for a bounded memory of what it has looked up."""

    def __init__(self, grants: Sequence[GrantBlock]) -> None:
        """Raises ValueError for grants in which `shim.policy.check.faults` finds an error."""
        self._grants = tuple(grants)
        texts = {grant.when for grant in self._grants if grant.when is not None}
        self._conditions = {text: Condition.of(text) for text in texts}
        self._rules = compile_rules(self._grants, self._conditions)
        entries: dict[str, list[tuple[Pattern, Rule]]] = {}
        for rule in self._rules:
            for principal in rule.to:
                entries.setdefault(principal, []).extend((pattern, rule) for pattern in rule.patterns)
        self._index = {
            principal: RuleIndex((pattern, rule.effect, rule) for pattern, rule in own)
            for principal, own in entries.items()
        }
        self._asked = frozenset(principal for rule in self._rules if rule.may_ask for principal in rule.to)
        self._recent: dict[_Key, _Resolved] = {}
        self._older: dict[_Key, _Resolved] = {}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule, in file order."""
        return self._rules

    def decide(self, identity: Identity, ref: str, facts: Facts) -> Decision:
        """The decision on one use of what has this name, whether or not any upstream has it (see `patterns`)."""
        found = self._find(identity, ref)
        if found.fixed is not None:
            return found.fixed
        scope = Scope(identity, ref, facts)
        for rule in found.denies:
            if rule.condition is None or rule.condition.test(scope) is not False:
                return rule.decision(True, facts.scopes)
        first = lacking = None
        for rule in found.allows:
            verdict = True if rule.condition is None else rule.condition.test(scope)
            decision = rule.decision(verdict, facts.scopes)
            if decision.effect == "allow":
                return decision
            first = first or decision
            if decision.reason is Reason.INSUFFICIENT_SCOPE:
                lacking = lacking or decision
        return lacking or first or _NO_GRANT

    def goes_on(self, identity: Identity, ref: str, grant: str, carried: frozenset[str]) -> Decision:
        """The decision on a request that goes on with a call which `grant` allowed, of what is visible still.

        Conditions held when the call began, with arguments that are not kept: they are not looked at again. `carried`
        are the scopes of the caller's token.
        """
        found = self._find(identity, ref)
        if not found.visible:
            deny = next((rule for rule in found.denies if rule.condition is None), None)
            return deny.decision(True, carried) if deny is not None else _NO_GRANT
        rule = next((rule for rule in found.allows if rule.grant == grant), found.allows[0])
        return rule.decision(True, carried)

    def visible(self, identity: Identity, ref: str) -> bool:
        """Whether some grant allows it and no unconditional deny matches; arguments are not looked at."""
        return self._find(identity, ref).visible

    def may_be_asked(self, identity: Identity) -> bool:
        """Whether some grant of the identity lets an upstream ask its client for anything."""
        return bool(self._asked) and not self._asked.isdisjoint(_principals(identity))

    def matching_grants(self, identity: Identity, ref: str) -> tuple[str, ...]:
        """The grants that allow it to the identity under some arguments, in file order."""
        found = self._find(identity, ref)
        return tuple(rule.grant for rule in found.allows) if found.visible else ()

    def explain(self, identity: Identity, ref: str, facts: Facts) -> Explanation:
        """The decision, as `decide` makes it, and what every rule had to say on the way."""
        principals = frozenset(_principals(identity))
        scope = Scope(identity, ref, facts)
        trail = []
        for rule in self._rules:
            matched = not _is_too_long(ref) and rule.matches(principals, ref)
            verdict = rule.condition.test(scope) if matched and rule.condition is not None else None
            alone = rule.decision(True if verdict is None else verdict, facts.scopes) if matched else _NO_GRANT
            trail.append(Step(rule.grant, matched, rule.effect, verdict, alone.reason))
        return Explanation(self.decide(identity, ref, facts), tuple(trail))

    @property
    def basic_scopes(self) -> tuple[str, ...]:
        """The scopes that every grant which allows something asks for: without them nothing can be called."""
        asked = [grant.scopes for grant in self._grants if grant.allow]
        return tuple(scope for scope in (asked[0] if asked else ()) if all(scope in scopes for scopes in asked))

    def lint(self, offered: Iterable[Offered]) -> list[tuple[str, Fault]]:
        """What is questionable in the grants beside what is offered, each with its grant's name, in file order."""
        return lint(self._grants, self._conditions, offered)

    def _find(self, identity: Identity, ref: str) -> _Resolved:
        key = (identity.name, identity.groups, ref)
        found = self._recent.get(key)
        if found is not None:
            return found
        found = self._older.get(key) or self._look_up(identity, ref)
        if len(ref) <= _MEMO_NAME:
            # Callers choose the names: what is remembered is bounded, in number and in size. What was not asked for
            # since the last exchange is forgotten, so that made-up names do not push out those in use.
            if len(self._recent) >= _MEMO_SIZE:
                self._recent, self._older = {}, self._recent
            self._recent[key] = found
        return found

    def _look_up(self, identity: Identity, ref: str) -> _Resolved:
        if _is_too_long(ref):
            return _NOTHING
        rules: set[Rule] = set()
        for principal in _principals(identity):
            index = self._index.get(principal)
            if index is not None:
                rules.update(index.find(ref))
        return _resolve(rules) if rules else _NOTHING
