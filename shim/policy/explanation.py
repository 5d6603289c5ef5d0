"""How a decision came about, for people and for `explain`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shim.model import Decision, JsonObject, Reason
from shim.policy.conditions import Verdict


@dataclass(frozen=True, slots=True)
class Step:
    """One rule on the way. `condition` is None where there is none or the rule does not match.

    `reason` is that of the decision if there were no other rule.
    """

    grant: str
    matched: bool
    effect: Literal["allow", "deny"]
    condition: Verdict | None
    reason: Reason

    def to_json(self) -> JsonObject:
        return {
            "grant": self.grant,
            "matched": self.matched,
            "effect": self.effect,
            "condition": self.condition,
            "reason": self.reason.value,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and the steps to it, in file order; a grant that both allows and denies has two steps."""

    decision: Decision
    trail: tuple[Step, ...]

    def to_json(self) -> JsonObject:
        """The object that `explain --json` prints: `{decision, reason, grant, trail}`."""
        return {
            "decision": self.decision.effect,
            "reason": self.decision.reason.value,
            "grant": self.decision.grant,
            "trail": [step.to_json() for step in self.trail],
        }
