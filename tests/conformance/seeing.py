"""One run of the suite against the shim, judged by a run against the server itself."""

from __future__ import annotations

import tempfile
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.fronting import Combination, directly, fronted
from tests.conformance.likeness import unlike
from tests.conformance.suite import Revision, Verdict, Verdicts, run


@dataclass(frozen=True, slots=True)
class Sight:
    """What is wrong with a scenario in one combination: nothing, if it passes."""

    scenario: str
    complaints: tuple[str, ...]
    failed: frozenset[str]
    """The ids of the checks that failed or warned."""

    @property
    def passed(self) -> bool:
        return not self.complaints


async def seen_directly(revision: Revision) -> Verdicts:
    """What the suite finds at the server of both eras itself."""
    async with directly("both") as url:
        return await run(url, revision)


async def seen_through(
    combination: Combination, revision: Revision, direct: Verdicts, again: Container[str] | None = None
) -> tuple[Sight, ...]:
    """What it finds through the shim. A scenario that fails is run again if it is in `again`; by default each is."""

    def complaints(scenario: str, verdict: Verdict) -> tuple[str, ...]:
        return verdict.complaints or unlike(direct[scenario], verdict, nameless=combination.era == "legacy")

    with tempfile.TemporaryDirectory() as folder:
        async with fronted(combination, Path(folder)) as url:
            found = await run(url, revision, again, lambda scenario, verdict: not complaints(scenario, verdict))
    return tuple(Sight(scenario, complaints(scenario, verdict), verdict.failed) for scenario, verdict in found.items())
