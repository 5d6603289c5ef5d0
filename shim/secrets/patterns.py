"""What is looked for: all forms of the values of leases, and pieces of them by which a text is told that has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from shim import templates
from shim.secrets.escapes import is_wide, letters
from shim.secrets.forms import Form, forms
from shim.secrets.hints import kind_of, scan

ROOM = 40
"""Pieces of one automaton: so few are searched with vector instructions, ten times as fast, and built in no time.

Up to 64 could be, but more of them take twice as long in texts of digits or base64."""


class Patterns:
    """All forms of one lease's values; made when first used, and once."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` by reference: `[secret:NAME]` stands in the place of one, NAME being that of its reference."""
        self._values = tuple((value, f"[secret:{templates.name_of(reference)}]") for reference, value in values.items())

    @cached_property
    def forms(self) -> tuple[tuple[Form, str], ...]:
        """What to look for, and what is put in its place."""
        return tuple({form: label for value, label in self._values for form in forms(value)}.items())

    @cached_property
    def windows(self) -> frozenset[bytes]:
        return frozenset(window for form, _ in self.forms for window in form.windows())

    @cached_property
    def kind(self) -> int:
        """See `hints.kind_of`."""
        return max(map(kind_of, self.windows), default=0)

    @cached_property
    def letters(self) -> frozenset[int]:
        """See `escapes.letters`."""
        return letters("".join(value for value, _ in self._values))

    @cached_property
    def is_wide(self) -> bool:
        """See `escapes.is_wide`."""
        return is_wide("".join(value for value, _ in self._values))

    @cached_property
    def quoted(self) -> bool:
        """Whether a value holds a quotation mark."""
        return any('"' in value for value, _ in self._values)

    @cached_property
    def marked(self) -> bool:
        """Whether a value holds what begins an escape."""
        return any(mark in value for value, _ in self._values for mark in "%\\&")

    def __bool__(self) -> bool:
        return bool(self._values)

    def stands_in(self, text: bytes, lower: bytes) -> bool:
        """Whether a value is there; `lower` is the text in lower case."""
        return any(form.text in (lower if form.any_case else text) for form, _ in self.forms)

    def broken(self, joined: bytes, text: bytes) -> bool:
        """Whether a value is there only once white space is taken away, which `joined` is without."""
        lower, whole = joined.lower(), text.lower()
        for form, _ in self.forms:
            parts = (lower, whole) if form.any_case else (joined, text)
            if (found := parts[0].count(form.bare)) and found > parts[1].count(form.text):
                return True
        return False

    def label(self) -> str:
        """What stands in the place of the first of the values."""
        return self._values[0][1]


class Group:
    """Several leases that are looked for at once: as many as one automaton has room for."""

    def __init__(self, members: Iterable[Patterns]) -> None:
        self.members = tuple(members)

    @cached_property
    def size(self) -> int:
        return sum(len(patterns.windows) for patterns in self.members)

    @cached_property
    def automata(self) -> tuple[BytesAhoCorasick, ...]:
        """They find the pieces in a text in lower case: one, but for a lease that has many."""
        pieces = sorted(frozenset().union(*(patterns.windows for patterns in self.members)))
        kind = Implementation.NoncontiguousNFA
        return tuple(
            BytesAhoCorasick(pieces[first : first + ROOM], matchkind=MatchKind.LeftmostFirst, implementation=kind)
            for first in range(0, len(pieces), ROOM)
        )

    def may_be_in(self, lower: bytes) -> bool:
        """Whether a piece is in a text in lower case."""
        return any(True for automaton in self.automata for _ in scan(automaton, lower))

    def with_(self, patterns: Patterns) -> Group:
        return Group((*self.members, patterns))

    def without(self, patterns: Patterns) -> Group:
        """What automata find is looked at more closely: they may go on as they are."""
        left = Group(one for one in self.members if one is not patterns)
        if "automata" in self.__dict__:
            left.__dict__["automata"] = self.automata
        return left
