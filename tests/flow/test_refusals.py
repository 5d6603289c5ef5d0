"""What callers are told where there is no answer."""

from __future__ import annotations

from datetime import UTC, datetime

from shim.model import Answer, Call, Caller, Credential, Decision, Identity, Reason
from shim.refusals import refused

CALLER = Caller(Credential(Identity("ann"), "local"), "http", "2026-07-28")


def call(method: str, ref: str) -> Call:
    return Call("inv", CALLER, "run", method, ref, "up", {}, datetime(2026, 8, 1, tzinfo=UTC), "p")


def message(answer: Answer) -> str:
    assert answer.error is not None
    return str(answer.error["message"])


def test_what_is_refused_is_called_what_it_is() -> None:
    for method in ("resources/read", "resources/subscribe"):
        answer = refused(call(method, "resource:up/x:1"), Decision("deny", Reason.CONDITION_FALSE, "g"))
        assert message(answer).startswith("Policy allows this resource only under a condition")
