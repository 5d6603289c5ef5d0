"""The official suite against the shim, both ways: what docs/protocol.md says passes does, what it says cannot does not.

`make test` looks at an upstream of both eras over HTTP, `make soak` at all combinations; `make conformance` writes the
table.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.expressible import REASONS, why_not
from tests.conformance.fronting import COMBINATIONS, Combination
from tests.conformance.seeing import seen_directly, seen_through
from tests.conformance.suite import REVISIONS, Revision, Verdicts, scored
from tests.conformance.table import read
from tests.parts.fixtures import node

__all__ = ["node"]

LEARNED = "run make conformance, and look at what it changes in docs/protocol.md"


@pytest.fixture(scope="module")
def direct(node: object) -> dict[Revision, Verdicts]:
    """What the suite finds at the reference server itself."""
    return {revision: asyncio.run(seen_directly(revision)) for revision in REVISIONS}


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_reference_server_passes_every_scored_scenario(
    direct: dict[Revision, Verdicts], revision: Revision
) -> None:
    assert {"2025-11-25": 30, "2026-07-28": 37}[revision] == len(direct[revision])
    assert {scenario: verdict.complaints for scenario, verdict in direct[revision].items() if not verdict.passed} == {}


def _quick(combination: Combination) -> object:
    quick = (combination.era, combination.transport) == ("both", "http")
    return combination if quick else pytest.param(combination, marks=pytest.mark.soak)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("combination", [_quick(combination) for combination in COMBINATIONS], ids=str)
async def test_the_table_says_what_passes(
    direct: dict[Revision, Verdicts], combination: Combination, revision: Revision
) -> None:
    said = {
        scenario: cell for (when, scenario, where), cell in read().items() if (when, where) == (revision, combination)
    }
    passing = {scenario for scenario, cell in said.items() if cell == "yes"}
    sights = await seen_through(combination, revision, direct[revision], again=passing)
    assert {
        sight.scenario: sight.complaints for sight in sights if sight.scenario in passing and not sight.passed
    } == {}
    assert {sight.scenario for sight in sights if sight.passed} == passing, LEARNED
    for sight in sights:
        number = why_not(revision, combination.era, sight.scenario)
        if number is not None:
            # It fails for its reason alone: whatever else the scenario looks at has to be right.
            assert sight.failed <= set(REASONS[number - 1].checks), sight.complaints


def test_the_table_is_whole_and_has_a_reason_for_each_that_cannot_pass(node: object) -> None:
    cells = read()
    assert set(cells) == {
        (revision, scenario, combination)
        for revision in REVISIONS
        for scenario in scored(revision)
        for combination in COMBINATIONS
    }, LEARNED
    for (revision, scenario, combination), cell in cells.items():
        assert cell != "not yet", (scenario, combination, LEARNED)
        assert (cell == "cannot") == (why_not(revision, combination.era, scenario) is not None), (scenario, LEARNED)


def test_every_reason_is_about_scenarios_that_there_are(node: object) -> None:
    for reason in REASONS:
        assert set(reason.scenarios) <= set(scored(reason.revision))
        assert "both" not in reason.eras
