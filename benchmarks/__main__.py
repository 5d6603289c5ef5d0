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
from statistics import median
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import fronts
from benchmarks.fronts import Front, Shape
from benchmarks.processes import DidNotStart, Weight, weigh
from benchmarks.rounds import CALLERS, FULL, QUICK, Series, Size, interleave, ratio
from tests.parts.install import MissingPart

TOOLS = (1, 100, 1000)
BASE = Shape(tools=1, identities=1, grants=10)
GROWN = {
    "1,000 tools": Shape(tools=1000, identities=1, grants=10),
    "1,000 identities": Shape(tools=1, identities=1000, grants=10),
    "10,000 grants": Shape(tools=1, identities=1, grants=10_000),
}

_out = Console(width=max(120, Console().width))


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


def show_comparison(tools: int, series: list[Series]) -> None:
    table = Table(title=f"{tools} tools", title_justify="left")
    for column in ("", "callers", "calls/s, median (min-max)", "p50 ms", "p99 ms", "times mcp-airlock"):
        table.add_column(column, justify="left" if column == "" else "right")
    other = {one.callers: one for one in series if one.front == "mcp-airlock"}
    for callers in CALLERS:
        for one in (one for one in series if one.callers == callers):
            rate = one.per_second
            against = ""
            if callers in other:
                middle, least, most = ratio(rate, other[callers].per_second)
                against = f"{middle:.2f}x ({least:.2f}-{most:.2f})"
            table.add_row(
                one.front,
                str(callers),
                f"{median(rate):,.0f} ({min(rate):,.0f}-{max(rate):,.0f})",
                f"{median(one.p50):.2f} ({min(one.p50):.2f}-{max(one.p50):.2f})",
                f"{median(one.p99):.2f} ({min(one.p99):.2f}-{max(one.p99):.2f})",
                against,
            )
    _out.print(table)


def show_growth(series: list[Series], weights: dict[str, Weight]) -> None:
    table = Table(title="mcp-shim: cost of a call against 1 tool, 1 identity, 10 grants", title_justify="left")
    for column in (
        "with",
        "time at 1 caller (p50)",
        "time at 32 callers (1 / calls/s)",
        "calls/s at 32",
        "p50 ms at 1",
    ):
        table.add_column(column, justify="left" if column == "with" else "right")
    base = {one.callers: one for one in series if one.front == "base"}
    for name in ("base", *GROWN):
        alone, many = (next(one for one in series if (one.front, one.callers) == (name, n)) for n in CALLERS)
        single, shared = ratio(alone.p50, base[1].p50), ratio(base[32].per_second, many.per_second)
        table.add_row(
            name,
            f"{single[0]:.2f}x ({single[1]:.2f}-{single[2]:.2f})",
            f"{shared[0]:.2f}x ({shared[1]:.2f}-{shared[2]:.2f})",
            f"{median(many.per_second):,.0f}",
            f"{median(alone.p50):.2f}",
        )
    _out.print(table)
    memory = Table(title="mcp-shim: memory, idle, before the first call, MiB", title_justify="left")
    for column in ("with", "RSS", "PSS"):
        memory.add_column(column, justify="left" if column == "with" else "right")
    for name, weight in weights.items():
        memory.add_row(name, f"{weight.rss:.1f}", "-" if weight.pss is None else f"{weight.pss:.1f}")
    _out.print(memory)


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
            show_comparison(tools, series)
        if "shim" in options.subjects:
            series, weights = await grow(size, folder)
            report["growth"] = [asdict(one) for one in series]
            report["memory"] = {key: asdict(weight) for key, weight in weights.items()}
            show_growth(series, weights)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and calls: a look, not a figure to quote")
    parser.add_argument("--tools", type=int, nargs="+", default=list(TOOLS), help="how many tools the upstream offers")
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
    _out.print(f"All figures: {options.output}")


if __name__ == "__main__":
    main()
