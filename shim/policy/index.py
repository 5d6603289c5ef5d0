"""Finds the rules whose patterns match one name, without trying every pattern.

A pattern without wildcards is found by its text. Any other is filed under the longer of its literal beginning and its
literal end, and tried only on names that begin or end so. The cost of a search therefore grows with the number of
different lengths of such texts and with the patterns that share one, not with the number of patterns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Literal, TypeVar

from shim.policy import uris
from shim.policy.globs import Glob
from shim.policy.patterns import Pattern, allowed, split

R = TypeVar("R")

_Anchored = dict[int, dict[str, list[tuple[Glob, R]]]]


class PatternIndex(Generic[R]):
    """Globs with what belongs to each. Filled once, then only searched."""

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


class RuleIndex(Generic[R]):
    """Patterns of all kinds, each with its effect and what belongs to it. Filled once, then only searched."""

    __slots__ = ("_allows", "_by_name", "_denies", "_forbids", "_resources")

    def __init__(self, entries: Iterable[tuple[Pattern, Literal["allow", "deny"], R]]) -> None:
        known = tuple(entries)
        self._by_name = {
            kind: PatternIndex((pattern.glob, value) for pattern, _, value in known if pattern.kind == kind)
            for kind in ("tool", "prompt")
        }
        self._resources = tuple(entry for entry in known if entry[0].kind == "resource")
        # An allow's index tells which globs to ask, since a wildcard is held against more than the text.
        self._allows = PatternIndex(
            (pattern.glob, (pattern.glob, value)) for pattern, effect, value in self._resources if effect == "allow"
        )
        self._forbids = any(effect == "deny" for _, effect, _ in self._resources)
        self._denies = PatternIndex(
            (glob, value) for pattern, effect, value in self._resources if effect == "deny" for glob in pattern.globs
        )

    def find(self, ref: str) -> list[R]:
        """What belongs to the patterns that are about what has this name, in no particular order."""
        kind, body = split(ref)
        if kind == "resource":
            return self._of_resource(body)
        if kind == "template":
            return [
                value
                for pattern, effect, value in self._resources
                if (pattern.reaches(body) if effect == "allow" else pattern.covers(body))
            ]
        return self._by_name[kind].find(body)

    def _of_resource(self, body: str) -> list[R]:
        found = [value for glob, value in self._allows.find(body) if allowed(glob, body)]
        if not self._forbids:
            return found
        upstream, _, text = body.partition("/")
        for form in (text, *uris.read(text).forms):
            found += self._denies.find(f"{upstream}/{form}")
        return found
