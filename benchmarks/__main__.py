"""`python -m benchmarks`: measure, print tables, and write all figures as JSON."""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import fronts, tables
from benchmarks.apis import apis
from benchmarks.documents import loading
from benchmarks.fronts import Front, Shape
from benchmarks.functions import functions
from benchmarks.leases import LEASES, QUICK_LEASES, leases
from benchmarks.processes import DidNotStart, Weight, weigh
from benchmarks.programs import PROGRAMS, QUICK_PROGRAMS, programs
from benchmarks.rounds import FULL, FULL_GROWTH, QUICK, QUICK_GROWTH, Series, Size, interleave
from benchmarks.scrubbing import scrubbing
from benchmarks.streams import idle
from benchmarks.tables import comparison, growth, memory, out, scrubbed, streams
from tests.parts.install import MissingPart

TOOLS = (1, 100, 1000)
BASE = Shape(tools=1, identities=1, grants=10)
GROWN = {
    "1,000 tools": Shape(tools=1000, identities=1, grants=10),
    "1,000 identities": Shape(tools=1, identities=1000, grants=10),
    "10,000 grants": Shape(tools=1, identities=1, grants=10_000),
}


async def compare(subjects: list[str], tools: int, size: Size, folder: Path) -> list[Series]:
    """Calls a second and latencies of the subjects in front of one upstream with so many tools."""
    shape = Shape(tools=tools)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(fronts.bare(shape, folder))
        url = upstream.targets[0].url
        measured: list[Front] = [upstream] if "bare" in subjects else []
        if "shim" in subjects:
            measured.append(await stack.enter_async_context(fronts.shim(shape, url, folder / f"shim-{tools}")))
        if "airlock" in subjects:
            measured.append(await stack.enter_async_context(fronts.airlock(shape, url, folder / f"airlock-{tools}")))
        return await interleave(measured, size)


async def grow(size: Size, folder: Path) -> tuple[list[Series], dict[str, Weight]]:
    """What size costs: mcp-shim with few and with many of something, all in one interleaved run; and its memory."""
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(fronts.bare(BASE, folder))
        large = await stack.enter_async_context(fronts.bare(GROWN["1,000 tools"], folder))
        measured, weights = [], {}
        for index, (name, shape) in enumerate({"base": BASE, **GROWN}.items()):
            url = (large if shape.tools > 1 else small).targets[0].url
            front = await stack.enter_async_context(fronts.shim(shape, url, folder / f"grow-{index}", name))
            measured.append(front)
            weights[name] = weigh(front.pid)
        series = await interleave(measured, size)
        weights["base, after the load"] = weigh(measured[0].pid)
        return series, weights


def about() -> dict[str, Any]:
    """The machine, and when."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
    }


async def bench(options: argparse.Namespace) -> dict[str, Any]:
    size: Size = QUICK if options.quick else FULL
    report: dict[str, Any] = {"about": about(), "size": {"rounds": size.rounds, "calls": dict(size.calls)}}
    with tempfile.TemporaryDirectory(prefix="mcp-shim-bench-") as name:
        folder = Path(name)
        report["comparison"] = {}
        for tools in options.tools:
            series = await compare(options.subjects, tools, size, folder)
            report["comparison"][str(tools)] = [asdict(one) for one in series]
            out.print(comparison(tools, series))
        if "shim" in options.subjects and options.tools:
            series, weights = await grow(QUICK_GROWTH if options.quick else FULL_GROWTH, folder)
            report["growth"] = [asdict(one) for one in series]
            report["memory"] = {key: asdict(weight) for key, weight in weights.items()}
            out.print(growth("base", series), memory(weights))
        if "shim" in options.subjects and options.leases:
            series, bare = await leases(QUICK_LEASES if options.quick else LEASES, folder)
            report["leases"] = {"fronts": [asdict(one) for one in series], "bare": asdict(bare)}
            out.print(tables.leases(series, bare))
        if "shim" in options.subjects and options.kinds:
            series, alone = await functions(size, folder)
            report["functions"] = {"fronts": [asdict(one) for one in series], "alone": asdict(alone)}
            out.print(tables.functions(series, alone))
        if "shim" in options.subjects and options.kinds:
            series, direct = await programs(QUICK_PROGRAMS if options.quick else PROGRAMS, folder)
            report["programs"] = {"fronts": [asdict(one) for one in series], "direct": asdict(direct)}
            out.print(tables.beside("`echo` as a tool", series, direct))
        if "shim" in options.subjects and options.kinds:
            series, direct = await apis(size, folder)
            report["apis"] = {"fronts": [asdict(one) for one in series], "direct": asdict(direct)}
            out.print(tables.beside("an operation of an HTTP API", series, direct))
        if "shim" in options.subjects and options.streams:
            found = await idle(folder, options.streams)
            report["streams"] = {key: {**asdict(one), "kib": one.kib} for key, one in found.items()}
            out.print(streams(found))
        if "shim" in options.subjects:
            measured = scrubbing(10 if options.quick else 50)
            report["scrubbing"] = [asdict(one) for one in measured]
            out.print(scrubbed(measured))
        if "shim" in options.subjects and options.documents:
            loaded = loading(1 if options.quick else 5)
            report["documents"] = {key: asdict(one) for key, one in loaded.items()}
            out.print(tables.documents(loaded))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and calls: a look, not a figure to quote")
    parser.add_argument("--tools", type=int, nargs="*", default=list(TOOLS), help="how many tools the upstream offers")
    parser.add_argument("--no-leases", dest="leases", action="store_false", help="leave out what secrets cost")
    parser.add_argument("--no-kinds", dest="kinds", action="store_false", help="leave out other kinds of upstream")
    parser.add_argument("--no-documents", dest="documents", action="store_false", help="leave out OpenAPI documents")
    parser.add_argument("--streams", type=int, default=1000, help="how many idle streams are weighed; 0: none")
    parser.add_argument(
        "--subjects", nargs="+", choices=["bare", "shim", "airlock"], default=["bare", "shim", "airlock"]
    )
    parser.add_argument("--output", type=Path, default=Path(tempfile.gettempdir()) / "mcp-shim-bench.json")
    options = parser.parse_args()
    try:
        report = uvloop.run(bench(options))
    except (DidNotStart, MissingPart) as error:
        sys.exit(str(error))
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    out.print(f"All figures: {options.output}")


if __name__ == "__main__":
    main()
