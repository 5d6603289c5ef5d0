"""The table in docs/protocol.md: written by a run, held by the tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from tests.conformance.expressible import REASONS, why_not
from tests.conformance.fronting import COMBINATIONS, Combination
from tests.conformance.suite import REVISIONS, Revision
from tests.parts.odd import ROOT

PAGE = ROOT / "docs" / "protocol.md"
BEGIN, END = "<!-- conformance: begin -->", "<!-- conformance: end -->"

Cell = Literal["yes", "cannot", "not yet"]
"""Passes; cannot, for a reason that stands below the table; or does not pass in this version."""
Place = tuple[Revision, str, Combination]
Cells = dict[Place, Cell]

_HEADING = re.compile(r"\*\*(\d{4}-\d{2}-\d{2})\*\*")
_ROW = re.compile(r"\| `([a-z0-9-]+)` \|(.*)\|")


def judged(place: Place, passed: bool) -> Cell:
    """What to write of a place. That something passes which cannot is for the tests to say."""
    revision, scenario, combination = place
    if why_not(revision, combination.era, scenario) is not None:
        return "cannot"
    return "yes" if passed else "not yet"


def _lines(cells: Cells) -> Iterator[str]:
    for revision in REVISIONS:
        scenarios = list(dict.fromkeys(scenario for when, scenario, _ in cells if when == revision))
        yield f"**{revision}**, clients of this revision in front of upstreams that speak:"
        yield ""
        yield "| scenario | " + " | ".join(_title(combination) for combination in COMBINATIONS) + " |"
        yield "|---|" + "---|" * len(COMBINATIONS)
        for scenario in scenarios:
            row = [_words((revision, scenario, combination), cells) for combination in COMBINATIONS]
            yield f"| `{scenario}` | {' | '.join(row)} |"
        totals = [
            str(sum(cells[revision, scenario, combination] == "yes" for scenario in scenarios))
            for combination in COMBINATIONS
        ]
        yield f"| of {len(scenarios)} | {' | '.join(totals)} |"
        yield ""
    for number, reason in enumerate(REASONS, 1):
        yield f"{number}. {reason.words}"


def _title(combination: Combination) -> str:
    eras = "both eras" if combination.era == "both" else f"{combination.era} alone"
    return f"{eras}, {'HTTP' if combination.transport == 'http' else 'stdio'}"


def _words(place: Place, cells: Cells) -> str:
    revision, scenario, combination = place
    cell = cells[place]
    return f"cannot ({why_not(revision, combination.era, scenario)})" if cell == "cannot" else cell


def write(cells: Cells) -> None:
    """Put the table into the page, in place of the one that is there."""
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    table = "\n".join(_lines(cells)).rstrip()
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def read() -> Cells:
    """The table as the page has it."""
    _, rest = PAGE.read_text().split(BEGIN)
    table, _ = rest.split(END)
    cells: Cells = {}
    revision: Revision | None = None
    for line in table.splitlines():
        if heading := _HEADING.match(line):
            revision = next(known for known in REVISIONS if known == heading[1])
        elif (row := _ROW.fullmatch(line)) and revision is not None:
            for combination, words in zip(COMBINATIONS, row[2].split(" | "), strict=True):
                cells[revision, row[1], combination] = _cell(words.strip())
    return cells


def _cell(words: str) -> Cell:
    if words in ("yes", "not yet"):
        return "yes" if words == "yes" else "not yet"
    if re.fullmatch(r"cannot \(\d+\)", words):
        return "cannot"
    raise ValueError(f"{PAGE.name} says {words!r} of a scenario: run make conformance")
