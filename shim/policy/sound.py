"""Which values the evaluator of conditions may see: those on which it is exact and cheap.

The evaluator cuts text at a NUL, raises on a lone surrogate, has integers of 64 bits only, crashes on values nested
thousands deep, and does not count what `in`, `==` and `contains` cost. So what it sees is bounded and measured before.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from shim.model import Json

MAX_ELEMENTS = 1_000
MAX_VALUES = 10_000
MAX_DEPTH = 128
_INT_MIN, _UINT_MAX = -(2**63), 2**64 - 1

NOT_CEL_TEXT = re.compile("[\0\ud800-\udfff]")


class Unsound(ValueError):
    """A value that the evaluator must not see; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is to look at: `characters` of all texts together, and the most `elements` of a list or map."""

    characters: int
    elements: int


def measure(values: list[Json]) -> Extent:
    """The extent of the values. Raises Unsound when any of them, at any depth, is beyond the bounds."""
    level, count, text, largest = values, 0, 0, 0
    for _ in range(MAX_DEPTH):
        if not level:
            return Extent(text, largest)
        count += len(level)
        if count > MAX_VALUES:
            raise Unsound(f"more than {MAX_VALUES:,} values")
        below: list[Json] = []
        for value in level:
            held = len(below)
            text += _look(value, below)
            largest = max(largest, len(below) - held)
        level = below
    if level:
        raise Unsound(f"nested deeper than {MAX_DEPTH}")
    return Extent(text, largest)


def _look(value: Json, below: list[Json]) -> int:
    """Checks one value, adds what it holds to `below`, and returns its characters of text."""
    kind = type(value)
    if kind is str:
        return _check_text(value)
    if kind is dict or kind is list:
        if len(value) > MAX_ELEMENTS:
            raise Unsound(f"a list or map has more than {MAX_ELEMENTS:,} elements")
        if kind is list:
            below.extend(value)
            return 0
        below.extend(value.values())
        return sum(map(_check_text, value))
    if kind is int:
        if not _INT_MIN <= value <= _UINT_MAX:
            raise Unsound("an integer does not fit 64 bits")
    elif kind is float:
        if not math.isfinite(value):
            raise Unsound("a number is not finite")
    elif kind is not bool and value is not None:
        raise Unsound(f"a value of type {kind.__name__}")
    return 0


def _check_text(text: str) -> int:
    # Most text is ASCII, which the interpreter knows without looking, and then only a NUL can be wrong with it.
    if "\0" in text or (not text.isascii() and NOT_CEL_TEXT.search(text)):
        raise Unsound("a text holds a NUL or a lone surrogate")
    return len(text)
