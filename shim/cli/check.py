"""`check`: whether the configuration holds, and whether everything behind it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from shim.cli import knowing, logs, output
from shim.cli.checkup.checks import counted
from shim.cli.errors import PROBLEM
from shim.cli.options import DEFAULT_CONFIG, AsJson, Config, configuration
from shim.cli.text import visible
from shim.cli.weighing import Weight, weights
from shim.errors import ConfigurationError, RecordUnavailable
from shim.model import JsonObject, Offer, Problem, UpstreamStatus

if TYPE_CHECKING:
    from shim.catalog import Catalog
    from shim.config.configuration import Configuration

_KINDS = ("tool", "prompt", "resource", "template")
_LISTS = tuple(f"{kind}s" for kind in _KINDS)


def check(
    config: Config = DEFAULT_CONFIG,
    offline: Annotated[bool, typer.Option("--offline", help="Do not reach upstreams.")] = False,
    as_json: AsJson = False,
) -> None:
    """Whether the configuration holds and each upstream answers. Conditions are held against the tools' schemas."""
    from shim.cli import secrets
    from shim.cli.reaching import reach

    logs.beside_a_report()
    try:
        loaded = configuration(config, expand=not offline)
    except ConfigurationError as error:
        if as_json:
            faults = [asdict(problem) for problem in error.problems]
            output.json_object({"ok": False, "problems": faults, "upstreams": []})
        raise
    status: Mapping[str, UpstreamStatus] = {}
    offers = _kept(loaded)
    if not offline:
        found = reach(loaded)
        status, offers = found.status, {**offers, **found.offers}
    catalog = knowing.catalog(loaded, offers)
    offered = catalog.now.offered
    usable: Counter[tuple[str, str]] = Counter((one.upstream, one.kind) for one in offered)
    heavy = weights(offered)
    problems = _problems(loaded, catalog, heavy, {} if offline else secrets.unavailable(loaded))
    upstreams = [
        _upstream(name, status.get(name), offers.get(name), usable, heavy.get(name, Weight()))
        for name in loaded.upstreams
    ]
    down = [name for name, stands in status.items() if stands.state != "up"]
    ok = not down and all(problem.level != "error" for problem in problems)
    if as_json:
        output.json_object({"ok": ok, "problems": [asdict(problem) for problem in problems], "upstreams": upstreams})
    else:
        _show(problems, upstreams, _summary(loaded) if ok else "not ok")
    if not ok:
        raise typer.Exit(PROBLEM)


def _kept(loaded: Configuration) -> Mapping[str, Offer]:
    # Conditions are also held against what an upstream offered when it was last up.
    try:
        return knowing.remembered(loaded)
    except RecordUnavailable:
        return {}


def _problems(
    loaded: Configuration, catalog: Catalog, heavy: Mapping[str, Weight], missing: Mapping[str, str]
) -> list[Problem]:
    from shim.cli import secrets
    from shim.policy.engine import Policy
    from shim.upstream.placing import Placing

    contents = catalog.now
    found = [*loaded.warnings, *loaded.problems(Policy(loaded.grants).lint(contents.offered))]
    places = Placing(loaded.upstreams).misfit
    left_out = [out.ref for out in contents.left_out]
    found += [
        *loaded.curated(catalog.curation.lint(contents.offered, places, left_out)),
        *secrets.problems(loaded, missing),
    ]
    for name, weight in heavy.items():
        if (why := weight.too_much) is not None:
            place = loaded.upstream_places[name]
            found.append(Problem(place.file, place.line, "warning", why))
    for out in contents.left_out:
        place = loaded.upstream_places[out.upstream]
        found.append(Problem(place.file, place.line, "warning", f"left out {out.ref}: {out.why}"))
    return sorted(found, key=lambda problem: (problem.file, problem.line))


def _upstream(
    name: str,
    status: UpstreamStatus | None,
    offer: Offer | None,
    usable: Counter[tuple[str, str]],
    weight: Weight,
) -> JsonObject:
    # Where upstreams were not reached there is no state to tell, only what was offered last.
    return {
        "name": name,
        "state": status.state if status is not None else None,
        "era": status.era if status is not None else (offer.era if offer is not None else None),
        "error": status.error if status is not None else None,
        **{f"{kind}s": usable[name, kind] if offer is not None else None for kind in _KINDS},
        "bytes": weight.bytes if offer is not None else None,
        "tokens": weight.tokens if offer is not None else None,
    }


def _summary(loaded: Configuration) -> str:
    # A grant that waits to be filled is no rule yet.
    empty = sum(not grant.allow and not grant.deny for grant in loaded.grants)
    more = f" ({empty} more {'allows' if empty == 1 else 'allow'} nothing yet)" if empty else ""
    return f"ok: {counted(len(loaded.grants) - empty, 'grant')}{more}, {counted(len(loaded.upstreams), 'upstream')}"


def _show(problems: list[Problem], upstreams: list[JsonObject], summary: str) -> None:
    for problem in problems:
        output.say(f"{visible(f'{problem.file}:{problem.line}')}: {problem.level}: {visible(problem.message)}")
    cells = (
        tuple(
            "-" if upstream[key] is None else str(upstream[key])
            for key in ("name", "state", "era", *_LISTS, "tokens", "error")
        )
        for upstream in upstreams
    )
    output.table(("upstream", "state", "era", *_LISTS, "tokens", "error"), cells, "no upstreams are configured")
    output.line(summary)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(check)
