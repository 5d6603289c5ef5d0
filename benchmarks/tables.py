"""The figures as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.documents import Loaded
from benchmarks.functions import Alone
from benchmarks.leases import Bare
from benchmarks.processes import Weight
from benchmarks.rounds import CALLERS, Direct, Series, ratio
from benchmarks.scrubbing import Scrubbed
from benchmarks.streams import Idle

out = Console(width=max(140, Console().width))


def comparison(tools: int, series: Sequence[Series]) -> Table:
    """Each front at each number of callers; the last column against mcp-airlock, round by round."""
    table = _table(
        f"{tools} tools: median (least-greatest) of the rounds",
        *("", "callers", "calls/s", "p50 ms", "p99 ms", "CPU ms a call", "x mcp-airlock"),
    )
    other = {one.callers: one for one in series if one.front == "mcp-airlock"}
    for callers in CALLERS:
        for one in (one for one in series if one.callers == callers):
            against = _ratio(one.per_second, other[callers].per_second) if callers in other else "-"
            figures = (_spread(one.per_second, 0), _spread(one.p50), _spread(one.p99), _spread(one.cpu))
            table.add_row(one.front, str(callers), *figures, against)
    return table


def growth(base: str, series: Sequence[Series]) -> Table:
    """What a call costs with more of something, as ratios to the base, round by round."""
    table = _table(
        "mcp-shim: cost of a call against 1 tool, 1 identity, 10 grants",
        *("with", "p50 at 1 caller", "time a call at 32", "CPU a call at 32", "calls/s at 32", "p50 ms at 1"),
    )
    found = {(one.front, one.callers): one for one in series}
    for name in dict.fromkeys(one.front for one in series):
        alone, many = (found[name, callers] for callers in CALLERS)
        table.add_row(
            name,
            _ratio(alone.p50, found[base, CALLERS[0]].p50),
            _ratio(found[base, CALLERS[1]].per_second, many.per_second),
            _ratio(many.cpu, found[base, CALLERS[1]].cpu),
            _spread(many.per_second, 0),
            _spread(alone.p50),
        )
    return table


def functions(series: Sequence[Series], alone: Alone) -> Table:
    """A function beside an HTTP server's tool; the last rows are without the shim."""
    table = _table("mcp-shim: a Python function", "", "callers", "calls/s", "p50 ms", "p99 ms", "CPU ms a call")
    _add(table, series)
    table.add_row("its process alone: start", "", "", f"{alone.start:.0f}", "", "")
    table.add_row("its process alone: a call", "1", "", f"{alone.call / 1000:.3f}", "", "")
    table.add_row("the function alone", "1", "", f"{alone.direct / 1000:.4f}", "", "")
    return table


def documents(loaded: Mapping[str, Loaded]) -> Table:
    """What whole documents take."""
    table = _table(
        "OpenAPI documents, all operations, read and made into tools in a new process",
        *("document", "MiB", "tools", "MiB of definitions", "s", "MiB at most", "of them for it"),
    )
    for name, one in loaded.items():
        size, made, peak, more = (f"{figure / 2**20:.1f}" for figure in (one.document, one.bytes, one.peak, one.more))
        table.add_row(name, size, str(one.tools), made, f"{one.seconds:.2f}", peak, more)
    return table


def memory(weights: Mapping[str, Weight]) -> Table:
    table = _table("mcp-shim: memory, idle, before its first call, in MiB", "with", "RSS", "PSS")
    for name, weight in weights.items():
        table.add_row(name, f"{weight.rss:.1f}", "-" if weight.pss is None else f"{weight.pss:.1f}")
    return table


def streams(found: Mapping[str, Idle]) -> Table:
    table = _table("mcp-shim: memory of what waits", *("", "how many", "MiB with none", "MiB with all", "KiB each"))
    for name, one in found.items():
        none, all_ = (f"{weight.pss or weight.rss:.1f}" for weight in (one.none, one.all))
        table.add_row(name, f"{one.count:,}", none, all_, f"{one.kib:.1f}")
    return table


def leases(found: Sequence[Series], bare: Bare) -> Table:
    """Each kind of secret at each number of callers, against none at all."""
    table = _table(
        f"mcp-shim: what a secret costs a call; Vault alone: read {bare.read:.2f} ms, role made {bare.role:.2f} ms, "
        f"role revoked {bare.revoke:.2f} ms, {bare.roles:.0f} roles/s at {CALLERS[1]} callers",
        *("", "callers", "calls/s", "p50 ms", "p99 ms", "CPU ms a call", "time a call"),
    )
    none = {one.callers: one for one in found if one.front == found[0].front}
    for callers in CALLERS:
        for one in (one for one in found if one.callers == callers):
            figures = (_spread(one.per_second, 0), _spread(one.p50), _spread(one.p99), _spread(one.cpu))
            table.add_row(one.front, str(callers), *figures, _ratio(none[callers].per_second, one.per_second))
    return table


def beside(what: str, found: Sequence[Series], direct: Direct) -> Table:
    """Something through the shim at each number of callers; its title says what it takes without."""
    table = _table(
        f"mcp-shim: {what}; directly: {direct.alone:.2f} ms, {direct.per_second:.0f} a second at {CALLERS[1]} callers",
        *("", "callers", "calls/s", "p50 ms", "p99 ms", "CPU ms a call"),
    )
    _add(table, found)
    return table


def scrubbed(found: Sequence[Scrubbed]) -> Table:
    """What looking for values adds to an answer in which there are none."""
    leases = [f"{one.leases} leases alive" for one in found]
    table = _table("mcp-shim: looking for the values of leases, in ms: median (least-greatest)", "", *leases)
    for name in found[0].results if found else ():
        table.add_row(name, *(_spread(one.results[name]) for one in found))
    table.add_row("a fresh lease, and 1 kB searched twice", *(_spread(one.fresh) for one in found))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


def _add(table: Table, series: Sequence[Series]) -> None:
    for one in series:
        figures = (_spread(one.per_second, 0), _spread(one.p50), _spread(one.p99), _spread(one.cpu))
        table.add_row(one.front, str(one.callers), *figures)


def _spread(values: Sequence[float], digits: int = 2) -> str:
    if not values:
        return "-"
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _ratio(above: Sequence[float], below: Sequence[float]) -> str:
    if not above or not below:
        return "-"
    middle, least, most = ratio(above, below)
    return f"{middle:.2f}x ({least:.2f}-{most:.2f})"
