"""What can be wrong with patterns on tools, and where texts stand in what they put into calls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shim.config.checks import AnyReading, Known, unknown_upstream
from shim.config.document import VALUES_IN
from shim.model import Json, Problem
from shim.policy.check import fault_of_tools
from shim.yamltext import Path

_WILD = re.compile(r"[*?\[\\]")
_LONGEST: Final = 64


def problems(reading: AnyReading, names: Known) -> Iterator[Problem]:
    """Patterns that can match nothing."""
    for pattern in reading.document.tools:
        if (wrong := fault_of_tools(pattern) or unknown_upstream(pattern, names)) is not None:
            yield reading.problem(("tools", pattern), wrong)


def renames(readings: Sequence[AnyReading]) -> Iterator[Problem]:
    """Names that no tool can have, or that two would have, as far as that shows before any tool is known."""
    prefixes = {
        name: block.prefix_of(name) for reading in readings for name, block in reading.document.upstreams.items()
    }
    first: dict[str, tuple[AnyReading, Path]] = {}
    for reading in readings:
        for pattern, block in reading.document.tools.items():
            if block.rename is None or fault_of_tools(pattern) is not None:
                continue
            path: Path = ("tools", pattern, "rename")
            upstream = pattern.partition("/")[0]
            if _WILD.search(upstream):
                yield reading.problem(
                    path, f"`rename` is for one tool, and `{pattern}` is about any upstream; name one"
                )
                continue
            wire = prefixes.get(upstream, "") + block.rename
            if len(wire) > _LONGEST:
                message = (
                    f"{wire} is longer than {_LONGEST} characters, with the upstream's prefix; choose a shorter name"
                )
                yield reading.problem(path, message)
            there = first.setdefault(wire, (reading, path))
            if there[1] != path:
                place = f"{there[0].source.file}:{there[0].line(there[1])}"
                yield reading.problem(
                    path, f"{wire} is what tools are renamed to at {place} already; choose another name"
                )


def texts(reading: AnyReading, sections: Iterable[str] = VALUES_IN) -> Iterator[Path]:
    """Where each text stands that is put into calls, or is a part of what is."""
    for pattern, block in reading.document.tools.items():
        for section in sections:
            yield from _texts(getattr(block, section), ("tools", pattern, section))


def _texts(value: Json, path: Path) -> Iterator[Path]:
    if isinstance(value, dict | list):
        for step, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(one, (*path, step))
    elif isinstance(value, str):
        yield path
