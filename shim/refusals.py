"""What a call is read as, and what a caller is told: an upstream's answer, or why there is none.

Two shapes: an unknown or hidden tool gets the protocol's own error, the same for both byte for byte; a tool that the
caller may see gets a tool result with one sentence that a model can act on, and the decision under `_meta`.
"""

from __future__ import annotations

import logging

from shim.errors import ProtocolError, Refusal
from shim.meta import clean_result
from shim.model import META_PREFIX, Answer, Call, Decision, JsonObject, Outcome, Reason, Reply, Status

_log = logging.getLogger("shim.gateway")

DECISION_META = f"{META_PREFIX}decision"

MAX_NAME = 1024
"""No tool has a longer name, and what a caller spells stays on the record for good."""

_SENTENCES = {
    Reason.NO_GRANT: "This tool is not available to you.",
    Reason.DENIED_BY_GRANT: "Policy does not allow this call with these arguments.",
    Reason.CONDITION_FALSE: "Policy allows this tool only under a condition that these arguments do not meet.",
    Reason.CONDITION_ERROR: "Policy could not be evaluated for these arguments, so the call was refused.",
    Reason.RECORD_UNAVAILABLE: "The call was refused because it could not be recorded; try again later.",
}


def arguments_of(params: JsonObject) -> tuple[str, JsonObject]:
    """The name and the arguments of a `tools/call`. Raises ProtocolError for params of another shape."""
    name = params.get("name")
    if not isinstance(name, str):
        raise ProtocolError(-32602, "Invalid params: name must be a string")
    if len(name) > MAX_NAME:
        raise ProtocolError(-32602, f"Invalid params: name has more than {MAX_NAME} characters")
    arguments = params.get("arguments")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise ProtocolError(-32602, "Invalid params: arguments must be an object")
    return name, arguments


def unknown_tool(name: str) -> Answer:
    """The answer for a tool that is hidden, unconditionally denied or does not exist."""
    return Answer(error={"code": -32602, "message": f"Unknown tool: {name}"})


def refused(call: Call, decision: Decision, sentence: str | None = None) -> Answer:
    """A tool result that says why there is no answer; `sentence` replaces the usual one of the reason."""
    text = sentence or _SENTENCES.get(decision.reason, f"The call was refused: {decision.reason}.")
    meta: JsonObject = {
        "decision": decision.effect,
        "reason": decision.reason.value,
        "grant": decision.grant,
        "invocation": call.id,
    }
    content = [{"type": "text", "text": text}]
    return Answer(result={"content": content, "isError": True, "_meta": {DECISION_META: meta}})


def answered(reply: Reply, duration_ms: float) -> tuple[Answer, Outcome]:
    """An upstream's answer for the caller, and as an outcome for the record."""
    error = reply.error
    result = clean_result(reply.result) if reply.result is not None else None
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
    return refused(call, Decision("allow", refusal.reason, decision.grant), str(refusal)), outcome


def left(duration_ms: float) -> Outcome:
    """A call that was cancelled. By whom cannot be told here: the caller that left, or the process that stops."""
    return Outcome(Status.CANCELLED, duration_ms, error=f"{Reason.CANCELLED}: before an answer came")


def broken(duration_ms: float) -> Outcome:
    """A call in which the shim itself failed."""
    return Outcome(Status.FAILED, duration_ms, error=f"{Reason.OUTCOME_UNKNOWN}: the shim failed")
