"""`python -m tests.conformance`: the whole suite in every combination, and the table in docs/protocol.md.

`python -m tests.conformance both/http …` runs these combinations alone and writes nothing. Exit code 1 where something
fails that has no reason to, or passes that has one not to.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.conformance.expressible import why_not
from tests.conformance.fronting import COMBINATIONS, Combination
from tests.conformance.seeing import seen_directly, seen_through
from tests.conformance.suite import REVISIONS
from tests.conformance.table import Cells, judged, write
from tests.parts.install import MissingPart


async def _measure(combinations: list[Combination]) -> tuple[Cells, bool]:
    cells: Cells = {}
    fine = True
    for revision in REVISIONS:
        direct = await seen_directly(revision)
        failed = {scenario: verdict.complaints for scenario, verdict in direct.items() if not verdict.passed}
        print(f"{revision} directly: {len(direct) - len(failed)} of {len(direct)}", flush=True)
        for scenario, complaints in failed.items():
            _complain(scenario, complaints)
        fine = fine and not failed
        for combination in combinations:
            sights = await seen_through(combination, revision, direct)
            passed = sum(sight.passed for sight in sights)
            print(f"{revision} {combination}: {passed} of {len(sights)}", flush=True)
            for sight in sights:
                cells[revision, sight.scenario, combination] = judged(
                    (revision, sight.scenario, combination), sight.passed
                )
                reason = why_not(revision, combination.era, sight.scenario)
                if sight.passed and reason is not None:
                    _complain(sight.scenario, (f"it passes, though reason {reason} says that it cannot",))
                    fine = False
                elif not sight.passed:
                    _complain(sight.scenario, sight.complaints)
                    fine = fine and reason is not None
    return cells, fine


def _complain(scenario: str, complaints: tuple[str, ...]) -> None:
    print(f"  {scenario}")
    for complaint in complaints:
        print(f"    {complaint}")


def main() -> int:
    known = {str(combination): combination for combination in COMBINATIONS}
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("combinations", nargs="*", metavar="COMBINATION", help=f"one of {', '.join(known)}")
    chosen = parser.parse_args().combinations
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"{unknown[0]} is not one of {', '.join(known)}")
    try:
        cells, fine = asyncio.run(_measure([known[name] for name in chosen] or list(COMBINATIONS)))
    except MissingPart as missing:
        print(missing, file=sys.stderr)
        return 1
    if not chosen:
        write(cells)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
