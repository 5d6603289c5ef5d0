"""Looking for the values of leases in a text: whether there is any, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from shim.secrets.escapes import MARKS, Decoder, Layer, decoder, is_dense
from shim.secrets.forms import Form
from shim.secrets.glance import Glance
from shim.secrets.patterns import Group, Patterns

Span: TypeAlias = tuple[int, int, str]
"""Where something was found, in bytes, and what stands in its place."""

_DENSE = 100_000
"""Line breaks beyond which a text with a value is replaced whole: to tell where it is would take seconds."""

_SHORT = 256
_LARGE = 1 << 16
_SPARSE = 500
"""Bytes for each mark of an escape from which it is worth while to look at some of the lines alone."""
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")
_BREAK = re.compile(rb"(?:[\r\n]|\\[rn])(?:[\r\n\t ]|\\[rn])*+")
_SPACE = b"\t\n\r "


class Search:
    """For what is in any of these groups."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = tuple(group for group in groups if group.members)
        members = [patterns for group in self._groups for patterns in group.members]
        self._decoder: Decoder = decoder(
            frozenset().union(*(patterns.letters for patterns in members)),
            wide=any(patterns.is_wide for patterns in members),
        )
        self.glance = Glance(self._groups)
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
        if not self.glance.over(joined, apart):
            return False
        return self.surely(joined) or (len(texts) > 1 and self.surely(apart))

    def surely(self, text: bytes) -> bool:
        """`any`, for a text in which one may be."""
        if self._within(text):
            return True
        return any(map(self._within, self._decoder.ways(_near(text), mixed=self._marked)))

    def spans(self, text: bytes) -> list[Span]:
        """Where the values are, in order, what overlaps in one."""
        if not self.glance.over(text, text) or (len(text) < _SHORT and not self.surely(text)):
            return []
        if is_dense(text):
            within = next((some for view in self._views(text) if (some := self._within(view))), [])
            return [(0, len(text), within[0].label())] if within else []
        found = list(self._layered(text, ()))
        if self._marked and not is_dense(text):
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
        near = [group for group in self._groups if group.may_be_in(lower)]
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
    if len(text) < _LARGE or sum(map(text.count, MARKS)) * _SPARSE > len(text):
        return text
    places: list[tuple[int, int]] = []
    for mark in MARKS:
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
