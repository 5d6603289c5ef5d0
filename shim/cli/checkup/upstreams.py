"""Every upstream reached once: how it stands, and what of it can be used."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shim.cli import knowing
from shim.cli.checkup.checks import Check, Section, counted

if TYPE_CHECKING:
    from shim.cli.reaching import Reached
    from shim.config.configuration import Configuration

_say = Section("upstreams")


def checks(configuration: Configuration) -> Iterator[Check]:
    """All lines of the section; 10 s at most, however many upstreams hang."""
    from shim.cli.reaching import reach

    if not configuration.upstreams:
        yield _say.info("none", "no upstreams are configured", "mcp-shim init --from CLIENT takes a client's servers")
        return
    found = reach(configuration)
    contents = knowing.catalog(configuration, found.offers).now
    usable = Counter(tool.upstream for tool in contents.tools)
    left_out = Counter(out.upstream for out in contents.left_out)
    for name in configuration.upstreams:
        yield _upstream(configuration, name, found, usable[name], left_out[name])


def _secret(configuration: Configuration, error: str) -> str | None:
    """The secret for want of which an upstream is down: why, the section on secrets has said."""
    return next((name for name in configuration.secrets if error.startswith(f"The secret {name} is not ")), None)


def _upstream(configuration: Configuration, name: str, found: Reached, usable: int, left_out: int) -> Check:
    place = configuration.upstream_places[name]
    there = f"{place.file}:{place.line}"
    status = found.status[name]
    if status.state != "up":
        error = status.error or "it did not answer in time"
        if (secret := _secret(configuration, error)) is not None:
            return _say.error(
                name, f"{status.state} without the secret {secret}", f"provide {secret}: see secrets above"
            )
        why = error.removeprefix(f"The upstream {name} is not available: ").removesuffix(".")
        remedy = f"see {there}: what stands there, tried by hand, shows more"
        return _say.error(name, f"{status.state}: {why}", remedy)
    text = (
        f"up, {status.era}, {counted(usable, 'tool')}, {found.seconds[name]:.1f} s" if name in found.seconds else "up"
    )
    if left_out:
        remedy = f"mcp-shim check --config {shlex.quote(str(configuration.path))} says which and why"
        return _say.warning(name, f"{text}; {left_out} left out", remedy)
    return _say.ok(name, text)
