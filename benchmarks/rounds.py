"""Interleaved rounds: what else the machine does falls on all that is compared, and only ratios are believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from benchmarks.fronts import Front
from benchmarks.load import Figures, measure
from benchmarks.processes import cpu_seconds

CALLERS = (1, 32)


@dataclass(frozen=True)
class Size:
    """How much is measured: rounds, and calls in each measurement by number of callers."""

    rounds: int
    calls: Mapping[int, int]

    def warm_up(self, callers: int) -> int:
        return max(callers * 3, self.calls[callers] // 10)


FULL = Size(rounds=5, calls={1: 300, 32: 1600})
QUICK = Size(rounds=2, calls={1: 100, 32: 640})

# What grows is compared by small differences: many short rounds, so that what else the machine does falls on all.
FULL_GROWTH = Size(rounds=11, calls={1: 200, 32: 1280})
QUICK_GROWTH = Size(rounds=3, calls={1: 100, 32: 640})


@dataclass
class Series:
    """All rounds of one front at one number of callers, in the order in which they were run."""

    front: str
    callers: int
    figures: list[Figures] = field(default_factory=list)

    @property
    def per_second(self) -> list[float]:
        return [figures.per_second for figures in self.figures]

    @property
    def p50(self) -> list[float]:
        return [figures.p50 for figures in self.figures]

    @property
    def cpu(self) -> list[float]:
        return [figures.cpu for figures in self.figures if figures.cpu is not None]

    @property
    def p99(self) -> list[float]:
        return [figures.p99 for figures in self.figures]


@dataclass(frozen=True)
class Direct:
    """The same without mcp-shim: milliseconds that one takes alone, and how many a second the most callers got."""

    alone: float
    per_second: float


async def interleave(fronts: Sequence[Front], size: Size) -> list[Series]:
    """Every front in every round, each round beginning with another one."""
    series = {(front.name, callers): Series(front.name, callers) for front in fronts for callers in CALLERS}
    for front in fronts:
        for callers in CALLERS:
            await measure(front.callers(callers), size.warm_up(callers))
    for number in range(size.rounds):
        at = number % len(fronts)
        for front in [*fronts[at:], *fronts[:at]]:
            for callers in CALLERS:
                figures = await _measured(front, callers, size.calls[callers], number)
                series[front.name, callers].figures.append(figures)
    return list(series.values())


async def _measured(front: Front, callers: int, calls: int, number: int) -> Figures:
    before = cpu_seconds(front.pid)
    figures = await measure(front.callers(callers), calls, first=1_000_000_000 + number * 1_000_000)
    after = cpu_seconds(front.pid)
    if before is None or after is None:
        return figures
    return replace(figures, cpu=(after - before) * 1000 / figures.calls)


def ratio(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and greatest of the ratios round by round."""
    ratios = [one / other for one, other in zip(above, below, strict=True)]
    return median(ratios), min(ratios), max(ratios)
