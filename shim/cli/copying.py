"""`init --sample`: a starting configuration that is one of the samples, as it is."""

from __future__ import annotations

import shlex
from pathlib import Path

from shim.cli import output
from shim.cli.errors import usage
from shim.cli.making import Making
from shim.cli.options import DEFAULT_CONFIG
from shim.cli.surroundings import lay
from shim.cli.text import visible


def copy(name: str, config: Path, shown: str, *, as_json: bool) -> None:
    """Write the sample of this name to `config`, which people know as `shown`. Raises Stop."""
    from shim.config import samples

    if name not in samples.NAMES:
        raise usage(f"--sample: {visible(name)!r} is none; there are {', '.join(samples.NAMES)}")
    with Making() as making:
        lay(making, config)
        making.settle(making.draft(config, samples.text(name)), config)
    if as_json:
        output.json_object({"config": shown, "sample": name})
        return
    at = "" if shown == str(DEFAULT_CONFIG) else f" --config {shlex.quote(shown)}"
    output.line(f"{visible(shown)} is written.")
    output.line(f"Next: change in it what is otherwise here, and then: {visible(f'mcp-shim check{at}')}")
