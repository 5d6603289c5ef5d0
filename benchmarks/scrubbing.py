"""What it costs to look for the values of leases in what an upstream says."""

from __future__ import annotations

import base64
import html
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
    results, small = _results(dice), {"content": [{"type": "text", "text": "x" * 1000}]}
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


def _results(dice: random.Random) -> dict[str, JsonObject]:
    """What servers answer with, of each about a megabyte."""
    source = ""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        source += path.read_text("utf-8", errors="replace")
    lines = [line for line in source.splitlines() if line]
    rows = [
        {"id": number, "name": f"row {number}", "path": f"/srv/data/{number}/x", "note": "nothing of note", "ok": True}
        for number in range(13_500)
    ]
    issues = [
        {
            "url": f"https://api.example.com/repos/a/b/issues/{number}?q=is%3Aopen&page=2",
            "title": dice.choice(lines),
            "body": "\r\n".join(dice.choices(lines, k=18)),
            "labels": ["bug", "help wanted"],
        }
        for number in range(1250)
    ]
    log = "".join(
        f'2026-01-02T03:04:05Z INFO GET /items/{number}?q=a%20b%2Fc%3D{number}&page=2 200 "Mozilla/5.0"\n'
        for number in range(11_500)
    )
    page = "".join(
        f'<p><a href="/x?a={number}&amp;b=2">{html.escape(dice.choice(lines))}</a>&nbsp;</p>\n'
        for number in range(11_500)
    )
    picture = base64.b64encode(dice.randbytes(750_000)).decode()
    return {
        "1 MB of source text": _text(source),
        "1.25 MB of rows": {"structuredContent": {"rows": rows}},
        "1 MB of rows as text": _text(json.dumps(rows)),
        "1 MB of JSON in JSON as text": _text(json.dumps(json.dumps(rows))),
        "1 MB of issues": {"structuredContent": {"issues": issues}},
        "1 MB of issues as text": _text(json.dumps(issues)),
        "1 MB of log lines": _text(log),
        "1 MB of an HTML page": _text(page),
        "1 MB of a picture": {"content": [{"type": "image", "mimeType": "image/png", "data": picture}]},
        "1 kB of text": _text(source[:1000]),
    }


def _text(text: str) -> JsonObject:
    return {"content": [{"type": "text", "text": text[:1_000_000]}]}


def _times(work: Callable[[], object], rounds: int) -> list[float]:
    work()
    times = []
    for _ in range(rounds):
        began = perf_counter()
        work()
        times.append((perf_counter() - began) * 1000)
    return times
