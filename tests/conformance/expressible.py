"""What cannot pass behind the shim, and why: what the upstream's era has no words for.

This is no list of expected failures. A scenario stands here only where the shim could pass it by making up what the
upstream never said, and the tests want it to fail as long as it stands here.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.server.eras import Era
from tests.conformance.suite import Revision


@dataclass(frozen=True, slots=True)
class Reason:
    """Why scenarios of a revision cannot pass in front of upstreams that speak these eras alone."""

    revision: Revision
    eras: tuple[Era, ...]
    scenarios: tuple[str, ...]
    checks: tuple[str, ...]
    """What fails there, and nothing else may."""
    words: str


REASONS: tuple[Reason, ...] = (
    Reason(
        "2026-07-28",
        ("legacy",),
        ("server-stateless",),
        (
            "sep-2575-server-rejects-undeclared-capability",
            "sep-2575-missing-capability-http-400",
            "sep-2575-http-server-no-independent-requests-on-stream",
        ),
        "A legacy server has no error that says which capability a client lacks (-32021). Its tool says so in words, "
        "and those are what the client gets. Over stdio a call that may ask has a process of its own besides, and one "
        "that starts more slowly than the 600 ms that the suite waits has said nothing by then.",
    ),
    Reason(
        "2026-07-28",
        ("legacy",),
        ("input-required-result-basic-elicitation", "input-required-result-ignore-extra-params"),
        ("sep-2322-elicitation-incomplete", "sep-2322-ignore-unexpected-params"),
        "The scenario looks for a question by its name, or answers it by that before it was asked. Legacy questions "
        "have no names, so the shim gives them one.",
    ),
)


def why_not(revision: Revision, era: Era, scenario: str) -> int | None:
    """The number of the reason, counted from 1; None for what has to pass."""
    for number, reason in enumerate(REASONS, 1):
        if reason.revision == revision and era in reason.eras and scenario in reason.scenarios:
            return number
    return None
