"""What a caller is told when it does not get an upstream's answer.

Two shapes: an unknown or hidden tool gets the protocol's own error, the same for both byte for byte; a tool that the
caller may see gets a tool result with one sentence that a model can act on, and the decision under `_meta`.
"""

from __future__ import annotations

from dataclasses import replace

from shim.model import META_PREFIX, Answer, Call, Decision, JsonObject, Reason, Reply

DECISION_META = f"{META_PREFIX}decision"

_SENTENCES = {
    Reason.NO_GRANT: "This tool is not available to you.",
    Reason.DENIED_BY_GRANT: "Policy does not allow this call with these arguments.",
    Reason.CONDITION_FALSE: "Policy allows this tool only under a condition that these arguments do not meet.",
    Reason.CONDITION_ERROR: "Policy could not be evaluated for these arguments, so the call was refused.",
    Reason.RECORD_UNAVAILABLE: "The call was refused because it could not be recorded; try again later.",
}


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


def without_shim_meta(reply: Reply) -> Reply:
    """The reply without members of `_meta` that only the shim may set."""
    result = reply.result
    meta = result.get("_meta") if result is not None else None
    if result is None or not isinstance(meta, dict) or not any(key.startswith(META_PREFIX) for key in meta):
        return reply
    kept = {key: value for key, value in meta.items() if not key.startswith(META_PREFIX)}
    return replace(reply, result={**result, "_meta": kept})
