"""Documents of HTTP APIs that a configuration names: whether they hold what it asks of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as File
from typing import TYPE_CHECKING

from shim.config import files
from shim.model import Problem
from shim.upstream.config import UpstreamBlock
from shim.upstream.openapi.document import MAX_BYTES, Unreadable, Unsuited, read
from shim.upstream.openapi.offering import offering
from shim.yamltext import Path

if TYPE_CHECKING:
    from shim.config.checks import AnyReading


def problems(reading: AnyReading, path: Path, block: UpstreamBlock) -> Iterator[Problem]:
    """What is wrong with the document of an upstream, where it is a file. One of the service is read from there."""
    if block.openapi is None or block.is_fetched or reading.is_unset((*path, "openapi")):
        return
    name = files.upstream(block, reading.source, reading.source.folder).openapi or ""
    where = (*path, "openapi")
    try:
        with File(name).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        yield reading.problem(where, f"the document {name} cannot be read ({error.strerror})")
        return
    try:
        made = offering(read(data), block)
    except Unsuited as error:
        yield reading.problem((*path, *error.path), str(error))
        return
    except Unreadable as error:
        if error.line is not None:
            yield Problem(name, error.line, "error", str(error))
        else:
            yield reading.problem(where, str(error))
        return
    for position in made.idle:
        yield reading.problem(
            (*path, "operations", position), f"no operation fits {block.operations[position]!r}", "warning"
        )
    for spot, why in made.left_out:
        yield reading.problem(where, f"left out {spot[:120]}: {why}", "warning")
