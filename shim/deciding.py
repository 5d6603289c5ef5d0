"""What policy says to one request, about what was found for it."""

from __future__ import annotations

from collections.abc import Callable

from shim.methods import Asked, Found
from shim.model import Call, Decision, JsonObject, Reason, Tool
from shim.policy.conditions import Facts
from shim.policy.engine import Policy


def decide(
    policy: Policy, misfit: Callable[[Tool, JsonObject], str | None], call: Call, asked: Asked, found: Found
) -> Decision:
    """The decision, whether or not there is such a thing: the record says why it was refused.

    `misfit`: see `shim.upstream.supervisor.Upstreams`. It is asked last, so that it shows nothing to who may not call.
    """
    if found.ref is None:
        return Decision("deny", Reason.NO_GRANT)
    identity, scopes = call.caller.identity, call.caller.credential.scopes or frozenset()
    if found.under is not None:
        return policy.goes_on(identity, found.ref, found.under, scopes)
    facts = Facts(asked.args, call.run, call.caller.client, call.began, scopes)
    decision = policy.decide(identity, found.ref, facts)
    if found.target is None and decision.effect != "deny":
        return Decision("deny", Reason.UNKNOWN_TOOL, decision.grant)
    if isinstance(tool := found.target, Tool) and decision.effect != "deny":
        if tool.fixed is not None and not tool.fixed.admits(asked.arguments):
            return Decision("deny", Reason.INVALID_ARGUMENTS, decision.grant)
        if (why := misfit(tool, asked.arguments)) is not None:
            return Decision("deny", Reason.INVALID_ARGUMENTS, decision.grant, why=why)
    return decision
