"""Where a text may hold an escaped value: next to escapes of what nobody escapes who has no reason to hide it.

Ordinary text is full of escapes, of quotes, spaces and slashes; to undo them all takes fifty times as long as to look
for a value. But pieces of values are looked for that have letters and digits alone. Of such a piece, either every
character stands in the text as it is, or one of them is escaped, which ends in one of the few writings listed here.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from functools import cache
from html.entities import html5
from itertools import chain

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

SELDOM = string.ascii_letters + string.digits + "-_.~!$*^`"
"""What is seldom escaped."""
OFTEN = SELDOM + "+/=@:()|?#[]{};"
"""With what is escaped where it has to be."""

KINDS = (SELDOM, OFTEN)

_STEP = 1 << 16
_LONGEST = 32
_ROOM = 60
_AROUND, _MOST = 128, 2500
"""Bytes for each such escape in a text from which it is no use to look around each of them."""
_BEFORE, _AFTER = 40, 64
"""Around one: the rest of a piece, and of an escape five times escaped."""
_NO_LENGTH = b"\t\n\r 0\\"
"""Of these an escape may hold as many as its writer likes."""


class Hints:
    """The escapes of some characters, and of what such escapes are made of."""

    def __init__(self, characters: str) -> None:
        codes = sorted(map(ord, characters))
        meant = {*characters, *"%&\\#;"}
        names = {name.lower().encode() for name, character in html5.items() if name[-1] == ";" and character in meant}
        tails = {b"#", *names}
        percent = {b"%%%02x" % code for code in codes} | {b"%3b", b"%u00", b"%5cu0", b"%5cx", b"%26%23"}
        percent |= {b"%25" + bytes((digit,)) for digit in b"234567u"} | {b"%26" + tail for tail in tails}
        units = [*codes, 0x23, 0x25, 0x3B, 0x5C]
        # Nobody escapes the rest of rows 4 to 7 so: they are taken whole.
        octets = {b"%d" % row for row in range(4, 8)} | {b"%02x" % code for code in units if code < 0x40}
        long = {b"\\u00" + octet for octet in octets} | {b"\\u0026" + tail for tail in (*tails, b"%23")}
        short = {b"\\x" + octet for octet in (*octets, b"26")} | ({b"\\/"} if "/" in characters else set())
        ampersand = {b"&#%s%d" % (zero, code) for code in (*units, 0x26) for zero in (b"", b"0")}
        ampersand |= {b"&#x%x" % code for code in (*units, 0x26)} | {b"&#00", b"&#x0", b"&%23"}
        ampersand |= {b"&" + name for name in names - {b"amp;"}} | {b"&amp;" + tail for tail in (*tails, b"%23")}
        self._escapes = (
            (b"%", (_by_mark(sorted(percent)),)),
            (b"\\", (*_by_vectors(sorted(long)), *_by_vectors(sorted(short)))),
            (b"&", (_by_mark(sorted(ampersand)),)),
        )

    def places(self, lower: bytes, size: int) -> list[tuple[int, int]] | None:
        """What stands around such escapes in a text in lower case.

        None: there are so many, for a text of that `size`, that it is as well to look everywhere.
        """
        most = min(size // _AROUND, _MOST)
        found: list[tuple[int, int]] = []
        for mark, automata in self._escapes:
            if mark not in lower:
                continue
            for start, end in chain.from_iterable(scan(automaton, lower) for automaton in automata):
                if mark != b"&" or not _goes_on(lower, start, end):
                    found.append((start, end))
                    if len(found) > most:
                        return None
        found.sort()
        places: list[tuple[int, int]] = []
        seen = 0
        for start, end in found:
            before, after = _before(lower, start), _after(lower, end)
            seen += after - before
            if seen > size:
                return None
            if places and before <= places[-1][1]:
                places[-1] = (places[-1][0], max(after, places[-1][1]))
            else:
                places.append((before, after))
        return places


def kind_of(piece: bytes) -> int:
    """Which of `KINDS` all its characters are of; their number, if of none."""
    return next((kind for kind, only in enumerate(KINDS) if not piece.translate(None, only.encode())), len(KINDS))


@cache
def hints(characters: str) -> Hints:
    """Made once: it takes some milliseconds."""
    return Hints(characters)


def scan(automaton: BytesAhoCorasick, text: bytes) -> Iterator[tuple[int, int]]:
    """Where it finds something, some twice; bit by bit, as there may be no end of it."""
    if len(text) <= _STEP:
        for _, start, end in automaton.find_matches_as_indexes(text):
            yield start, end
        return
    view = memoryview(text)
    for first in range(0, len(text), _STEP):
        for _, start, end in automaton.find_matches_as_indexes(view[first : first + _STEP + _LONGEST]):
            yield first + start, first + end


def _by_mark(found: list[bytes]) -> BytesAhoCorasick:
    """All begin with the same byte, which is looked for first: next to nothing where there are few of them."""
    return BytesAhoCorasick(found, matchkind=MatchKind.LeftmostFirst, implementation=Implementation.DFA)


def _by_vectors(found: list[bytes]) -> Iterator[BytesAhoCorasick]:
    """The same time, a little, for every text: JSON may be full of this mark.

    It is done so for so many that begin with four different bytes, of which three are in no UTF-8. The four bytes at
    the beginning of each are looked at, or as many as the shortest has.
    """
    others = [bytes((octet,)) * 5 for octet in (0xFC, 0xFD, 0xFE)]
    for first in range(0, len(found), _ROOM):
        some = [*found[first : first + _ROOM], *others]
        kind = Implementation.NoncontiguousNFA
        yield BytesAhoCorasick(some, matchkind=MatchKind.LeftmostFirst, implementation=kind)


_NUMBER = re.compile(rb"&#(?:x[0-9a-f]+|[0-9]+)")


def _goes_on(lower: bytes, start: int, end: int) -> bool:
    """Whether it is the beginning of a longer number: that of another character."""
    if lower[start : start + 2] != b"&#" or lower[start:end] in (b"&#00", b"&#x0"):
        return False
    number = _NUMBER.match(lower, start)
    return number is not None and number.end() > end


def _before(lower: bytes, start: int) -> int:
    size = _BEFORE
    while size < start and len(lower[start - size : start].translate(None, _NO_LENGTH)) < _BEFORE:
        size *= 2
    return max(start - size, 0)


def _after(lower: bytes, end: int) -> int:
    size = _AFTER
    while end + size < len(lower) and len(lower[end : end + size].translate(None, _NO_LENGTH)) < _AFTER:
        size *= 2
    return end + size
