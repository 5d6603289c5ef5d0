"""What it costs to look for the values of leases in what an upstream says."""

from __future__ import annotations

import json
import random
import string
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from shim.model import JsonObject
from shim.secrets.alive import Alive
from shim.secrets.patterns import Patterns
from shim.secrets.scrubbing import Scrubber

LEASES = (1, 16, 100)
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """Milliseconds with so many leases alive: for each kind of result, and for a fresh lease a call."""

    leases: int
    results: dict[str, list[float]]
    fresh: list[float]


def scrubbing(rounds: int) -> list[Scrubbed]:
    """Results in which nothing is found, each `rounds` times; a fresh lease is issued, looked for twice, and ended."""
    dice = random.Random(1)
    results, small = _results(), {"content": [{"type": "text", "text": "x" * 1000}]}
    measured = []
    for leases in LEASES:
        alive = Alive()
        for number in range(leases):
            alive.add(str(number), _lease(dice))
        scrubber = Scrubber(partial(alive.since, None))

        def fresh(alive: Alive = alive, scrubber: Scrubber = scrubber) -> None:
            alive.add("fresh", _lease(dice))
            scrubber.result(small)
            alive.remove("fresh")
            scrubber.result(small)

        found = {name: _times(partial(scrubber.result, result), rounds) for name, result in results.items()}
        measured.append(Scrubbed(leases, found, _times(fresh, 10 * rounds)))
    return measured


def _lease(dice: random.Random) -> Patterns:
    return Patterns({"key": "".join(dice.choices(_LETTERS, k=32))})


def _results() -> dict[str, JsonObject]:
    source = ""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        source += path.read_text("utf-8", errors="replace")
    rows = [
        {"id": number, "name": f"row {number}", "path": f"/srv/data/{number}/x", "note": "nothing of note", "ok": True}
        for number in range(13_500)
    ]
    return {
        "1 MB of source text": _text(source[:1_000_000]),
        "1.25 MB of JSON": {"structuredContent": {"rows": rows}},
        "1 MB of JSON as text": _text(json.dumps(rows)[:1_000_000]),
        "1 MB of JSON in JSON as text": _text(json.dumps(json.dumps(rows))[:1_000_000]),
        "1 kB of text": _text(source[:1000]),
    }


def _text(text: str) -> JsonObject:
    return {"content": [{"type": "text", "text": text}]}


def _times(work: Callable[[], object], rounds: int) -> list[float]:
    work()
    times = []
    for _ in range(rounds):
        began = perf_counter()
        work()
        times.append((perf_counter() - began) * 1000)
    return times
