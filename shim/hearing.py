"""Whether a caller may be told that a resource changed: decided anew each time, as reading it would be."""

from __future__ import annotations

from collections.abc import Callable

from shim.model import Call, Caller
from shim.policy.conditions import Facts
from shim.policy.engine import Policy


class Hearing:
    """`begin` makes the invocation that reading would be; nothing of it is recorded, as nothing is read."""

    def __init__(self, policy: Policy, begin: Callable[[Caller, str], Call]) -> None:
        self._policy = policy
        self._begin = begin

    def may(self, caller: Caller, ref: str, uri: str) -> bool:
        """Whether policy lets this caller read now what it calls `ref`."""
        call = self._begin(caller, "resources/read")
        facts = Facts({"uri": uri}, call.run, caller.client, call.began, caller.credential.scopes or frozenset())
        return self._policy.decide(caller.identity, ref, facts).effect == "allow"
