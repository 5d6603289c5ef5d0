"""Who may do what: grants compiled to decisions."""

from __future__ import annotations

from shim.policy.conditions import Facts
from shim.policy.engine import Policy
from shim.policy.explanation import Explanation, Step

__all__ = ["Explanation", "Facts", "Policy", "Step"]
