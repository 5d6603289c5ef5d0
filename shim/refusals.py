"""What a caller is told: an upstream's answer, or why there is none.

Two shapes: of a tool that the caller may see a tool result with one sentence that a model can act on, and the decision
under `_meta`; of a prompt, a resource or a completion a JSON-RPC error with the decision in `data`.
"""

from __future__ import annotations

import logging

from shim.errors import REFUSED, RecordUnavailable, Refusal
from shim.meta import clean_result
from shim.model import META_PREFIX, Answer, Call, Decision, JsonObject, Outcome, Reason, Reply, Status

_log = logging.getLogger("shim.gateway")

DECISION_META = f"{META_PREFIX}decision"

UNRECORDED = "it ran, but its outcome could not be recorded"

_WHAT = {
    "prompts/get": "prompt",
    "resources/read": "resource",
    "resources/subscribe": "resource",
    "completion/complete": "completion",
}
_SENTENCES = {
    Reason.NO_GRANT: "This {what} is not available to you.",
    Reason.DENIED_BY_GRANT: "Policy does not allow this call with these arguments.",
    Reason.CONDITION_FALSE: "Policy allows this {what} only under a condition that these arguments do not meet.",
    Reason.CONDITION_ERROR: "Policy could not be evaluated for these arguments, so the call was refused.",
    Reason.INVALID_ARGUMENTS: "The {what} does not take one of these arguments: send those of its input schema alone.",
    Reason.INSUFFICIENT_SCOPE: "Policy allows this {what} only with an OAuth access token that has certain scopes.",
    Reason.RECORD_UNAVAILABLE: "The call was refused because it could not be recorded; try again later.",
}


def refused(call: Call, decision: Decision, sentence: str | None = None) -> Answer:
    """An answer that says why there is no other; `sentence` replaces the usual one of the reason.

    Where a token with more scopes would be let through, an error that tells which: a client can go and get one.
    """
    usual = _SENTENCES.get(decision.reason, f"The call was refused: {decision.reason}.")
    text = sentence or decision.why or usual.format(what=_WHAT.get(call.method, "tool"))
    said: JsonObject = {
        "decision": decision.effect,
        "reason": decision.reason.value,
        "grant": decision.grant,
        "invocation": call.id,
    }
    if decision.scopes and call.caller.credential.scopes is not None:
        message = f"This needs an access token with the scopes {' '.join(decision.scopes)}"
        return Answer(error={"code": REFUSED, "message": message, "data": said}, scopes=decision.scopes)
    if call.method != "tools/call":
        return Answer(error={"code": REFUSED, "message": text, "data": said})
    content = [{"type": "text", "text": text}]
    return Answer(result={"content": content, "isError": True, "_meta": {DECISION_META: said}})


def answered(reply: Reply, duration_ms: float) -> tuple[Answer, Outcome]:
    """An upstream's answer for the caller, and as an outcome for the record."""
    error = reply.error
    result = reply.result if reply.result is None or reply.is_ours else clean_result(reply.result)
    if error is not None:
        text, detail = f"{Reason.UPSTREAM_ERROR}: {error.get('code')}", str(error.get("message"))
        return Answer(error=error), Outcome(Status.ERROR, duration_ms, None, reply.size, text, detail=detail)
    status = Status.ERROR if result is not None and result.get("isError") is True else Status.OK
    return Answer(result), Outcome(status, duration_ms, result, reply.size)


def failed(call: Call, decision: Decision, refusal: Refusal, duration_ms: float) -> tuple[Answer, Outcome]:
    """Why an allowed call has no answer: for the caller what it may know, for the record everything."""
    if refusal.detail != str(refusal):
        _log.error("a call of %s failed. %s", call.caller.identity.name, refusal.detail)
    outcome = Outcome(Status.FAILED, duration_ms, error=f"{refusal.reason}: {refusal.detail}")
    # Why the store fails is nobody's business but that of whoever runs the shim: it names files.
    sentence = UNRECORDED if isinstance(refusal, RecordUnavailable) else str(refusal)
    return refused(call, Decision("allow", refusal.reason, decision.grant), sentence), outcome


def left(duration_ms: float) -> Outcome:
    """A call that was cancelled. By whom cannot be told here: the caller that left, or the process that stops."""
    return Outcome(Status.CANCELLED, duration_ms, error=f"{Reason.CANCELLED}: before an answer came")


def broken(duration_ms: float) -> Outcome:
    """A call in which the shim itself failed."""
    return Outcome(Status.FAILED, duration_ms, error=f"{Reason.OUTCOME_UNKNOWN}: the shim failed")
