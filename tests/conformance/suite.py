"""Running the official suite against a URL, and what it found.

The suite is the npm package `@modelcontextprotocol/conformance`, pinned beside the other parts. `--requirements` names
a revision of the specification: which scenarios count for it, and that they speak its wire.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import yaml

from shim.model import JsonObject
from tests.parts.install import environment
from tests.parts.peers import Node, node

Revision = Literal["2025-11-25", "2026-07-28"]
REVISIONS: tuple[Revision, ...] = ("2025-11-25", "2026-07-28")
PATIENCE = 300.0
"""Seconds for one run of the suite; it takes six where nothing hangs."""

_FOLDER = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z")
_BAD = ("FAILURE", "WARNING")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a scenario looked at."""

    id: str
    name: str
    status: str
    message: str | None
    details: JsonObject

    def __str__(self) -> str:
        return f"{self.status} {self.id} ({self.name})" + (f": {self.message}" if self.message else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one scenario found."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Stricter than the suite's own count, which lets warnings pass."""
        return bool(self.checks) and not self.complaints

    @property
    def failed(self) -> frozenset[str]:
        """The ids of the checks that failed or warned."""
        return frozenset(check.id for check in self.checks if check.status in _BAD)

    @property
    def complaints(self) -> tuple[str, ...]:
        if not self.checks:
            return ("the scenario gave no result",)
        return tuple(str(check) for check in self.checks if check.status in _BAD)


Verdicts = dict[str, Verdict]


def scored(revision: Revision) -> tuple[str, ...]:
    """The scenarios that a server of this revision has to pass, in the suite's order."""
    pinned = Path(node().conformance()[-1]).parents[1] / "requirements" / f"{revision}.yaml"
    return tuple(yaml.safe_load(pinned.read_text())["server"])


TRIES = 3
"""How often a scenario is run by itself that failed among the others: for some things the suite waits 0.6 s alone."""

Judge: TypeAlias = Callable[[str, Verdict], bool]
"""Whether a scenario is as it should be."""


async def run(
    url: str, revision: Revision, again: Container[str] | None = None, judge: Judge | None = None
) -> Verdicts:
    """All scored scenarios. One that is not as it should be is run again by itself, where the last time counts.

    `again` says which are worth it; by default all are. `judge` is whether it passed, by default.
    """
    part = node()
    found = await _run(part, url, "--requirements", revision)
    verdicts: Verdicts = {}
    for scenario in scored(revision):
        verdict = found.get(scenario, Verdict(()))
        for _ in range(TRIES if again is None or scenario in again else 0):
            if verdict.passed and (judge is None or judge(scenario, verdict)):
                break
            alone = await _run(part, url, "--scenario", scenario, "--spec-version", revision)
            verdict = alone.get(scenario, verdict)
        verdicts[scenario] = verdict
    return verdicts


async def _run(part: Node, url: str, *which: str) -> Verdicts:
    with tempfile.TemporaryDirectory() as folder:
        argv = [*part.conformance(), "server", "--url", url, *which, "--output-dir", folder]
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=folder,
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            words, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
        verdicts = _found(Path(folder))
        if not verdicts:
            raise RuntimeError(f"the conformance suite did not run:\n{words.decode(errors='replace')}")
        return verdicts


def _found(folder: Path) -> Verdicts:
    """What the suite wrote: a folder for each scenario, whose file is missing where the scenario broke."""
    verdicts: Verdicts = {}
    for path in folder.glob("*/checks.json"):
        match = _FOLDER.fullmatch(path.parent.name)
        if match is not None:
            verdicts[match["scenario"]] = Verdict(tuple(_check(raw) for raw in json.loads(path.read_text())))
    return verdicts


def _check(raw: JsonObject) -> Check:
    return Check(raw["id"], raw["name"], raw["status"], raw.get("errorMessage"), raw.get("details") or {})
