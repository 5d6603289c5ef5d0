"""What can be wrong with patterns on tools, and where texts stand in what they put into calls."""

from __future__ import annotations

from collections.abc import Iterator

from shim.config.checks import AnyReading, Known, unknown_upstream
from shim.config.document import VALUES_IN
from shim.model import Json, Problem
from shim.policy.check import fault_of_tools
from shim.yamltext import Path


def problems(reading: AnyReading, names: Known) -> Iterator[Problem]:
    """Patterns that can match nothing."""
    for pattern in reading.document.tools:
        if (wrong := fault_of_tools(pattern) or unknown_upstream(pattern, names)) is not None:
            yield reading.problem(("tools", pattern), wrong)


def texts(reading: AnyReading) -> Iterator[Path]:
    """Where each text stands that is put into calls, or is a part of what is."""
    for pattern, block in reading.document.tools.items():
        for section in VALUES_IN:
            yield from _texts(getattr(block, section), ("tools", pattern, section))


def _texts(value: Json, path: Path) -> Iterator[Path]:
    if isinstance(value, dict | list):
        for step, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(one, (*path, step))
    elif isinstance(value, str):
        yield path
