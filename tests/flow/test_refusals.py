"""What callers are told where there is no answer."""

from __future__ import annotations

from datetime import UTC, datetime

from shim.errors import RecordUnavailable
from shim.model import Answer, Call, Caller, Credential, Decision, Identity, Reason
from shim.refusals import failed, refused

CALLER = Caller(Credential(Identity("ann"), "local"), "http", "2026-07-28")
ALLOWED = Decision("allow", Reason.GRANTED, "g")


def call(method: str, ref: str) -> Call:
    return Call("inv", CALLER, "run", method, ref, "up", {}, datetime(2026, 8, 1, tzinfo=UTC), "p")


def message(answer: Answer) -> str:
    assert answer.error is not None
    return str(answer.error["message"])


def test_what_is_refused_is_called_what_it_is() -> None:
    for method in ("resources/read", "resources/subscribe"):
        answer = refused(call(method, "resource:up/x:1"), Decision("deny", Reason.CONDITION_FALSE, "g"))
        assert message(answer).startswith("Policy allows this resource only under a condition")


def test_where_the_store_lies_is_told_to_nobody_when_a_task_cannot_be_kept() -> None:
    full = RecordUnavailable("the disk, or the space that the store may use, is full: /srv/shim/var/shim.db")
    answer, outcome = failed(call("tools/call", "up/build"), ALLOWED, full, 1.0)
    assert answer.result is not None
    assert answer.result["content"][0]["text"] == "it ran, but its outcome could not be recorded"
    assert outcome.error is not None
    assert outcome.error.endswith("/srv/shim/var/shim.db")
