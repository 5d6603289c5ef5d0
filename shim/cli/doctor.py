"""`doctor`: what is installed, where things are and who can read them, what answers, and what to do about the rest."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shim.cli import clientfiles, output
from shim.cli.errors import PROBLEM
from shim.cli.options import DEBUG_VARIABLE, DEFAULT_CONFIG, AsJson, Config, configuration
from shim.cli.text import visible
from shim.errors import ConfigurationError, ShimError

if TYPE_CHECKING:
    from shim.cli.checkup.checks import Check
    from shim.clients.client import Machine
    from shim.config.configuration import Configuration


def doctor(
    config: Config = DEFAULT_CONFIG,
    from_: Annotated[
        list[str] | None, typer.Option("--from", metavar="FILE", help="Look at this file of a client, too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at everything, change nothing, and say what to do. Installation, files, store, upstreams, clients."""
    if not os.environ.get(DEBUG_VARIABLE):
        # What the parts would say of an upstream that fails is a line of the report.
        logging.getLogger("shim").addHandler(logging.NullHandler())
    machine = clientfiles.machine(os.environ, Path.cwd(), sys.platform, from_ or ())
    fault: ConfigurationError | None = None
    loaded: Configuration | None = None
    try:
        loaded = configuration(config)
    except ConfigurationError as error:
        fault = error
    checks = _shown(_checks(config, loaded, fault, machine), as_json=as_json)
    ok = all(check.level != "error" for check in checks)
    if as_json:
        output.json_object({"ok": ok, "checks": [asdict(check) for check in checks]})
    else:
        output.line(_summary(checks))
    if fault is not None:
        raise fault
    if not ok:
        raise typer.Exit(PROBLEM)


def _checks(
    path: Path, loaded: Configuration | None, fault: ConfigurationError | None, machine: Machine
) -> Iterator[Check]:
    from shim.cli.checkup import clients, files, identities, installation, listening, secrets, store, upstreams

    yield from installation.checks(os.environ)
    if loaded is None:
        yield from files.unread(path, fault)
        yield from _guarded("clients", clients.checks(None, machine))
        return
    yield from _guarded("files", files.checks(loaded))
    yield from _guarded("store", store.checks(loaded))
    yield from _guarded("secrets", secrets.checks(loaded))
    reached = list(_guarded("upstreams", upstreams.checks(loaded)))
    yield from reached
    yield from _guarded("clients", clients.checks(loaded, machine))
    down = [check.name for check in reached if check.level == "error"]
    yield from _guarded("identities", identities.checks(loaded, os.environ, down=down))
    yield from _guarded("server", listening.checks(loaded))


def _guarded(section: str, checks: Iterator[Check]) -> Iterator[Check]:
    # What keeps one section from being looked at is a finding, and the others are looked at all the same.
    from shim.cli.checkup.checks import Section

    try:
        yield from checks
    except (ShimError, OSError) as error:
        yield Section(section).error("looking", f"this section could not be looked at: {error}", "mend what it says")


def _shown(checks: Iterable[Check], *, as_json: bool) -> list[Check]:
    # A person sees each line as it is found: some sections wait for others to answer.
    found: list[Check] = []
    for check in checks:
        if not as_json:
            _show(check, is_first=not found or found[-1].section != check.section)
        found.append(check)
    return found


def _show(check: Check, *, is_first: bool) -> None:
    if is_first:
        output.line(check.section)
    output.line(f"  {check.level:<8} {visible(check.name)}: {visible(check.message)}")
    if check.remedy is not None:
        output.line(f"  {'':<8}   -> {visible(check.remedy)}")
    sys.stdout.flush()


def _summary(checks: list[Check]) -> str:
    from shim.cli.checkup.checks import counted

    counts = {level: sum(check.level == level for check in checks) for level in ("error", "warning")}
    said = [counted(count, level) for level, count in counts.items() if count]
    return ", ".join(said) or "all is well"


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(doctor)
