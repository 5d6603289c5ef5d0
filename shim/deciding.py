"""What policy says to one request, about what was found for it."""

from __future__ import annotations

from shim.methods import Asked, Found
from shim.model import Call, Decision, Reason, Tool
from shim.policy.conditions import Facts
from shim.policy.engine import Policy


def decide(policy: Policy, call: Call, asked: Asked, found: Found) -> Decision:
    """The decision, whether or not there is such a thing: the record says why it was refused."""
    if found.ref is None:
        return Decision("deny", Reason.NO_GRANT)
    identity, scopes = call.caller.identity, call.caller.credential.scopes or frozenset()
    if found.under is not None:
        return policy.goes_on(identity, found.ref, found.under, scopes)
    facts = Facts(asked.args, call.run, call.caller.client, call.began, scopes)
    decision = policy.decide(identity, found.ref, facts)
    if found.target is None and decision.effect != "deny":
        return Decision("deny", Reason.UNKNOWN_TOOL, decision.grant)
    if isinstance(found.target, Tool) and decision.effect != "deny" and not _admits(found.target, asked):
        return Decision("deny", Reason.INVALID_ARGUMENTS, decision.grant)
    return decision


def _admits(tool: Tool, asked: Asked) -> bool:
    return tool.fixed is None or tool.fixed.admits(asked.arguments)
