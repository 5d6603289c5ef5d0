"""Looking for the values of leases in a text: first whether there is any, at little cost, then where."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import TypeAlias

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from shim import templates
from shim.secrets.escapes import Decoder, Layer, decoder, is_wide, letters, lowered
from shim.secrets.forms import Form, forms
from shim.secrets.hints import KINDS, hints, kind_of, scan

Span: TypeAlias = tuple[int, int, str]
"""Where something was found, in bytes, and what stands in its place."""

ROOM = 60
"""Pieces up to which an automaton is built in no time, and searches with vector instructions, ten times as fast."""

_DENSE = 100_000
"""Escapes or line breaks beyond which a text with a value is replaced whole: to tell where it is would take seconds."""

_LARGE = 1 << 16
_SPARSE = 500
"""Bytes for each mark of an escape from which it is worth while to look at some of the lines alone."""
_MARKS = (b"%", b"\\", b"&")
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")
_BREAK = re.compile(rb"(?:[\r\n]|\\[rn])(?:[\r\n\t ]|\\[rn])*+")
_SPACE = b"\t\n\r "
_PART = 1 << 12
_LOWER = bytes(range(256)).lower()


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
    def automaton(self) -> BytesAhoCorasick:
        """Finds in a text in lower case whether there may be a value."""
        pieces = frozenset().union(*(patterns.windows for patterns in self.members))
        kind = Implementation.NoncontiguousNFA if len(pieces) <= ROOM else Implementation.DFA
        return BytesAhoCorasick(pieces, matchkind=MatchKind.LeftmostFirst, implementation=kind)

    def with_(self, patterns: Patterns) -> Group:
        return Group((*self.members, patterns))

    def without(self, patterns: Patterns) -> Group:
        """What the automaton finds is looked at more closely: it may go on as it is."""
        left = Group(one for one in self.members if one is not patterns)
        if "automaton" in self.__dict__:
            left.__dict__["automaton"] = self.automaton
        return left


class Search:
    """For what is in any of these groups."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = tuple(group for group in groups if group.members)
        members = [patterns for group in self._groups for patterns in group.members]
        self._decoder: Decoder = decoder(
            frozenset().union(*(patterns.letters for patterns in members)),
            wide=any(patterns.is_wide for patterns in members),
        )
        kind = max((patterns.kind for patterns in members), default=0)
        self._characters = KINDS[kind] if kind < len(KINDS) else None
        self.quoted = any(patterns.quoted for patterns in members)
        self._marked = any(patterns.marked for patterns in members)

    def __bool__(self) -> bool:
        return bool(self._groups)

    def unescaped(self, document: bytes) -> bytes:
        """A document's strings as they are meant: else its own escapes would be undone together with theirs."""
        return self._decoder.once(document) if b"\\" in document else document

    def any(self, text: bytes) -> bool:
        """Whether there is one at all."""
        return self.any_over((text,))

    def any_over(self, texts: Sequence[bytes]) -> bool:
        """Whether there is one in any of these texts, or over neighbouring ones."""
        joined, apart = b"".join(texts), b"\0".join(texts)
        lower = joined.lower()
        places = None if self._has_piece(lower) else self._places(lower)
        if places is not None:
            # Where two meet, they may make an escape.
            means = self._means(lower, places) or (len(texts) > 1 and places and self._may_mean(apart, len(apart)))
            if not means:
                return False
        return self.surely(joined) or (len(texts) > 1 and self.surely(apart))

    def may_be_in(self, document: bytes) -> bool:
        """Whether there may be one in a JSON document, over neighbouring strings too: False is certain.

        Without quotes and commas, which no piece has but where all is looked at, neighbours are one text. What that
        means must be told from the parts of the document as they are.
        """
        if self._characters is None:
            return True
        parts = [document[start : start + _PART].translate(_LOWER, b'",') for start in range(0, len(document), _PART)]
        lower = b"".join(parts)
        places = None if self._has_piece(lower) else self._places(lower)
        if not places:
            return places is None
        ends = [*accumulate(map(len, parts))]
        which = {
            part
            for start, end in places
            for part in range(bisect_right(ends, start), min(bisect_right(ends, end - 1), len(parts) - 1) + 1)
        }
        some = b"".join(
            (b"" if part - 1 in which else b"\n") + document[part * _PART : (part + 1) * _PART]
            for part in sorted(which)
        )
        texts = (some.replace(b'","', b""), some)
        return any(self._may_mean(text, len(document), written=True) for text in texts)

    def _has_piece(self, lower: bytes) -> bool:
        return any(True for group in self._groups for _ in scan(group.automaton, lower))

    def _places(self, lower: bytes, size: int = 0) -> list[tuple[int, int]] | None:
        """Where escapes may be those of a value; None: it may be anywhere."""
        if self._characters is None:
            return None if any(mark in lower for mark in _MARKS) else []
        return hints(self._characters).places(lower, max(size, len(lower)))

    def _may_mean(self, text: bytes, size: int, *, written: bool = False) -> bool:
        lower = text.lower()
        places = self._places(lower, size)
        return places is None or self._means(lower, places, written=written)

    def _means(self, lower: bytes, places: list[tuple[int, int]], *, written: bool = False) -> bool:
        """Whether what is escaped in these places may be a value's; of a document that is `written`, after its own."""
        text = b"\n".join(lower[start:end] for start, end in places)
        if written:
            text = text.replace(b"\\\\", b"\0").replace(b"\\", b" ").replace(b"\0", b"\\")
        return any(map(self._has_piece, (text, *self._undone(text, lowered()))))

    def surely(self, text: bytes) -> bool:
        """`any`, for a text in which one may be."""
        if self._within(text):
            return True
        return any(map(self._within, self._undone(_near(text), self._decoder)))

    def _undone(self, text: bytes, decoder: Decoder) -> Iterator[bytes]:
        """It with its escapes undone, in all ways."""
        yield from decoder.plainer(text)
        for layers in decoder.alone(_mixed(text) if self._marked else b""):
            whole = layers[-1].decoded
            yield from (whole, *decoder.plainer(whole))

    def spans(self, text: bytes) -> list[Span]:
        """Where the values are, in order, what overlaps in one."""
        if len(text) < 256:
            if not self.any(text):
                return []
        elif _is_dense(text):
            within = next((some for view in self._views(text) if (some := self._within(view))), [])
            return [(0, len(text), within[0].label())] if within else []
        found = list(self._layered(text, ()))
        if self._marked and not _is_dense(text):
            for layers in self._decoder.alone(text):
                found += self._layered(text, layers)
        return _union(found)

    def _layered(self, text: bytes, layers: tuple[Layer, ...]) -> Iterator[Span]:
        """What is found under these layers, and all that are below them."""
        whole = layers[-1].decoded if layers else text
        for layer in (None, *self._decoder.layers(whole)):
            if layer is not None:
                layers += (layer,)
                whole = layer.decoded
            for start, end, label in self._unfolded(whole):
                for above in reversed(layers):
                    start, end = above.origin(start, end)
                yield start, end, label

    def _views(self, text: bytes) -> Iterator[bytes]:
        yield text
        yield from self._decoder.plainer(text)

    def _within(self, text: bytes) -> list[Patterns]:
        """The leases of which a value is in a text, its line breaks apart."""
        lower = text.lower()
        near = [group for group in self._groups if group.automaton.find_matches_as_indexes(lower)]
        if not near:
            return []
        members = [patterns for group in near for patterns in group.members]
        joined = _joined(text)
        return [one for one in members if one.stands_in(text, lower) or (joined and one.broken(joined, text))]

    def _unfolded(self, text: bytes) -> Iterator[Span]:
        within = self._within(text)
        if not within:
            return
        yield from _literal(within, text)
        joined = _joined(text)
        broken = [one for one in within if joined and one.broken(joined, text)]
        if not broken:
            return
        breaks = [(*found.span(), b"") for found in _BREAK.finditer(text)]
        if len(breaks) > _DENSE:
            yield 0, len(text), broken[0].label()
            return
        layer = Layer.of(text, breaks)
        for start, end, label in _literal(broken, layer.decoded):
            yield (*layer.origin(start, end), label)


def _near(text: bytes) -> bytes:
    """The lines with marks of escapes and those beside them; the whole text, where that is no less work."""
    if len(text) < _LARGE or sum(map(text.count, _MARKS)) * _SPARSE > len(text):
        return text
    places: list[tuple[int, int]] = []
    for mark in _MARKS:
        end = 0
        while (start := text.find(mark, end)) >= 0:
            after = text.find(b"\n", start)
            before = text.rfind(b"\n", 0, start)
            end = text.find(b"\n", after + 1) if after >= 0 else -1
            end = end if end >= 0 else len(text)
            places.append((text.rfind(b"\n", 0, max(before, 0)) + 1, end))
            # The next line is beside this one, and has its own beside it.
            end = after if after >= 0 else len(text)
    places.sort()
    pieces: list[bytes] = []
    done = 0
    for start, end in places:
        if end > done:
            pieces.append(text[max(start, done) : end] if start <= done else b"\n" + text[start:end])
            done = end
    return b"".join(pieces)


def _mixed(text: bytes) -> bytes:
    """The lines that have escapes of several kinds, as far as marks tell; nothing of a dense text."""
    if sum(mark in text for mark in _MARKS) < 2 or _is_dense(text):
        return b""
    return b"\n".join(line for line in text.split(b"\n") if sum(mark in line for mark in _MARKS) > 1)


def _is_dense(text: bytes) -> bool:
    return len(text) > _DENSE and sum(map(text.count, _MARKS)) > _DENSE


def _joined(text: bytes) -> bytes:
    """The text without its line breaks, those that JSON escaped too, and white space; empty if it has none of them."""
    for escape in (b"\\r", b"\\n"):
        text = text.replace(escape, b"\n")
    return text.translate(None, _SPACE) if b"\n" in text or b"\r" in text else b""


def _literal(within: Iterable[Patterns], text: bytes) -> Iterator[Span]:
    lower = text.lower()
    for patterns in within:
        for form, label in patterns.forms:
            for start, end in _runs(form.text, lower if form.any_case else text):
                yield (*_widened(form, text, start, end), label)


def _runs(needle: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    """Where it is; what overlaps is one, for a text that repeats a value that repeats itself has it at every byte."""
    end = 0
    while (start := text.find(needle, end)) >= 0:
        end = start + len(needle)
        last = start
        while (further := text.rfind(needle, last + 1, end + len(needle) - 1)) >= 0:
            last, end = further, further + len(needle)
        yield start, end


def _widened(form: Form, text: bytes, start: int, end: int) -> tuple[int, int]:
    if form.before and start and text[start - 1] in _BASE64:
        start -= 1
    if form.after and end < len(text) and text[end] in _BASE64:
        end += 1
        while text[end : end + 1] == b"=":
            end += 1
    return start, end


def _union(found: list[Span]) -> list[Span]:
    whole: list[Span] = []
    for start, end, label in sorted(found, key=lambda span: (span[0], -span[1])):
        if whole and start < whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]), whole[-1][2])
        else:
            whole.append((start, end, label))
    return whole
