"""Whether a caller may be told that a resource changed: decided anew each time, as reading it would be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from shim.model import Caller
from shim.policy.conditions import Facts
from shim.policy.engine import Policy


class Hearing:
    """`would_be` says of a call that could begin now to which run it would belong, and when it would begin."""

    def __init__(self, policy: Policy, would_be: Callable[[Caller], tuple[str, datetime]]) -> None:
        self._policy = policy
        self._would_be = would_be

    def may(self, caller: Caller, ref: str, uri: str) -> bool:
        """Whether policy lets this caller read now what it calls `ref`."""
        run, now = self._would_be(caller)
        facts = Facts({"uri": uri}, run, caller.client, now, caller.credential.scopes or frozenset())
        return self._policy.decide(caller.identity, ref, facts).effect == "allow"
