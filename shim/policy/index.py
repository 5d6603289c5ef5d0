"""Finds the rules whose patterns match one name, without trying every pattern.

A pattern without wildcards is found by its text. Any other is filed under the longer of its literal beginning and its
literal end, and tried only on names that begin or end so. The cost of a search therefore grows with the number of
different lengths of such texts and with the patterns that share one, not with the number of patterns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from shim.policy.globs import Glob

R = TypeVar("R")

_Anchored = dict[int, dict[str, list[tuple[Glob, R]]]]


class PatternIndex(Generic[R]):
    """Patterns with what belongs to each. Filled once, then only searched."""

    __slots__ = ("_beginnings", "_ends", "_exact")

    def __init__(self, entries: Iterable[tuple[Glob, R]]) -> None:
        self._exact: dict[str, list[R]] = {}
        self._beginnings: _Anchored[R] = {}
        self._ends: _Anchored[R] = {}
        for glob, value in entries:
            if glob.literal is not None:
                self._exact.setdefault(glob.literal, []).append(value)
                continue
            by_end = len(glob.suffix) > len(glob.prefix)
            anchor, filed = (glob.suffix, self._ends) if by_end else (glob.prefix, self._beginnings)
            filed.setdefault(len(anchor), {}).setdefault(anchor, []).append((glob, value))

    def find(self, name: str) -> list[R]:
        """What belongs to the patterns that match `name`; once for each pattern, in no particular order."""
        found = list(self._exact.get(name, ()))
        for length, filed in self._beginnings.items():
            found += [value for glob, value in filed.get(name[:length], ()) if glob.matches(name)]
        for length, filed in self._ends.items():
            found += [value for glob, value in filed.get(name[-length:], ()) if glob.matches(name)]
        return found
