"""How an upstream may escape characters of a value, and how such writing is undone."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from html.entities import html5
from typing import TypeAlias

ERRORS = "surrogatepass"
"""JSON can hold half a surrogate pair, which is no UTF-8."""

_SHORT = {'"': b'"', "'": b"'", "\b": b"b", "\f": b"f", "\n": b"n", "\r": b"r", "\t": b"t"}
_MEANT = {letter[0]: character.encode() for character, letter in _SHORT.items()}
_PLAIN = re.compile(r"[\t\n\r -~]*")

Meaning: TypeAlias = Callable[[bytes], bytes | None]
"""What an escape stands for; None: it is none."""

_HIDDEN = bytes.maketrans(b"\\%&", b"\xff\xfe\xfd")
_SHOWN = ((b"\xff", b"\\"), (b"\xfe", b"%"), (b"\xfd", b"&"))
"""What is in no UTF-8 stands for the mark of an escape that was just undone, so that it begins no other."""

MARKS = (b"%", b"\\", b"&")
_DENSE = 100_000
"""Marks beyond which a text with a value is replaced whole: to tell where it is would take seconds."""

_OFTEN = 1 << 12


@dataclass(frozen=True, slots=True)
class Layer:
    """A text with its escapes undone. Escape number i stood at `starts[i]:ends[i]`, and is now `at[i]:till[i]`."""

    decoded: bytes
    starts: list[int]
    ends: list[int]
    at: list[int]
    till: list[int]

    @classmethod
    def of(cls, text: bytes, found: list[tuple[int, int, bytes]]) -> Layer:
        """`found`: where the escapes are, in order, and what each means."""
        layer = cls(b"", [], [], [], [])
        pieces: list[bytes] = []
        done = length = 0
        for start, end, meant in found:
            length += start - done
            layer.starts.append(start)
            layer.ends.append(end)
            layer.at.append(length)
            length += len(meant)
            layer.till.append(length)
            pieces += (text[done:start], meant)
            done = end
        pieces.append(text[done:])
        return cls(b"".join(pieces), layer.starts, layer.ends, layer.at, layer.till)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Where `decoded[start:end]` came from. An escape is taken whole."""
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, index: int) -> tuple[int, int]:
        escape = bisect_right(self.at, index) - 1
        if escape < 0:
            return index, index + 1
        if index < self.till[escape]:
            return self.starts[escape], self.ends[escape]
        place = self.ends[escape] + index - self.till[escape]
        return place, place + 1


class Decoder:
    """Undoes percent, JSON and HTML escapes, mixed as they come.

    Of ASCII alone, and of the short JSON escapes those of `short` alone, unless values hold more: an ordinary text is
    full of escaped quotes and line ends, which no value holds.
    """

    MOST = 5
    """Layers that are undone, one around the other."""

    def __init__(self, short: bytes, *, wide: bool, lowered: bool = False) -> None:
        """`short`: the letters that stand after a backslash; `wide`: values hold more than printable ASCII.

        `lowered`: it is for text in lower case, and what it gives is that too.
        """
        octet = b"[0-9a-fA-F]{2}" if wide else b"(?:[2-7][0-9a-fA-F]|0[9adAD])"
        pair = b"[uU][dD][89abAB][0-9a-fA-F]{2}\\\\[uU][dD][c-fC-F][0-9a-fA-F]{2}|[uU][0-9a-fA-F]{4}"
        unit = (pair if wide else b"[uU]00%s" % octet) + b"|[xX]%s" % octet
        letters = b"".join(re.escape(short[index : index + 1]) for index in range(len(short)))
        self._short = [(b"\\" + bytes((letter,)), _MEANT.get(letter, b"/")) for letter in short]
        number = b"#0*+[0-9]{1,7}+;?|#[xX]0*+[0-9a-fA-F]{1,6}+;?|[A-Za-z][A-Za-z0-9]{1,31}+;"
        names = {name.encode(): meant.encode() for name, meant in html5.items() if _counts(name, meant, wide=wide)}
        if lowered:
            names = {name.lower(): meant for name, meant in names.items()} | names
        of = _lowering if lowered else _as_is
        self._kinds = (
            _Kind(b"%25", octet + (b"|[uU][0-9a-fA-F]{4}" if wide else b"|[uU]00" + octet), of(_percent)),
            _Kind(b"\\\\", b"[%s]|%s" % (letters, unit), of(_json)),
            _Kind(b"&amp;", number, of(lambda escape: _html(escape, names))),
        )

    def alone(self, text: bytes) -> Iterator[tuple[Layer, ...]]:
        """The text with the escapes of one kind undone, once and twice; for a text that has several kinds.

        Where a value holds a mark itself, an escape of it that is undone too early begins an escape with what follows.
        """
        kinds = [kind for kind in self._kinds if kind.mark in text]
        for kind in kinds if len(kinds) > 1 else ():
            layers: tuple[Layer, ...] = ()
            for _ in range(2):
                whole = layers[-1].decoded if layers else text
                found = list(kind.finds(whole))
                if not found:
                    break
                layers += (Layer.of(whole, found),)
                yield layers

    def ways(self, text: bytes, *, mixed: bool) -> Iterator[bytes]:
        """The text with its escapes undone; if `mixed`, also kind by kind in the lines that have several kinds."""
        yield from self.plainer(text)
        for layers in self.alone(_mixed(text) if mixed else b""):
            whole = layers[-1].decoded
            yield from (whole, *self.plainer(whole))

    def layers(self, text: bytes) -> Iterator[Layer]:
        """The text with its outermost escapes undone, then those of that, and so on."""
        for _ in range(self.MOST):
            found = [one for kind in self._kinds for one in kind.finds(text)]
            if not found:
                return
            found.sort()
            layer = Layer.of(text, found)
            yield layer
            text = layer.decoded

    def once(self, document: bytes) -> bytes:
        """A JSON document without its own escapes, as far as they count."""
        document = document.replace(b"\\\\", b"\0")
        for escape, meant in self._short:
            document = document.replace(escape, meant)
        return document.replace(b"\0", b"\\")

    def plainer(self, text: bytes) -> Iterator[bytes]:
        """What `layers` decodes, much faster."""
        for _ in range(self.MOST):
            before = text
            for kind in self._kinds:
                if kind.mark in text:
                    text = kind.undone(text)
            if text is before:
                return
            for hidden, mark in _SHOWN:
                text = text.replace(hidden, mark)
            yield text


def _as_is(meaning: Meaning) -> Meaning:
    return meaning


def _lowering(meaning: Meaning) -> Meaning:
    def lower(escape: bytes) -> bytes | None:
        meant = meaning(escape)
        return None if meant is None else meant.lower()

    return lower


class _Kind:
    """One way of escaping. `itself`: its mark, escaped; `rest`: what may follow the mark in any other escape."""

    __slots__ = ("_itself", "_meaning", "_pattern", "_some", "mark")

    def __init__(self, itself: bytes, rest: bytes, meaning: Meaning) -> None:
        self.mark = itself[:1]
        self._itself = itself
        self._meaning = meaning
        self._some = _Meanings(self._meant)
        # It begins with the mark and nothing else: the search then is for that one character. A run of escaped marks
        # is one escape: a long one is hostile, and would cost as much as all the rest.
        again = re.escape(itself[1:]), re.escape(itself)
        self._pattern = re.compile(b"%s(?:%s(?:%s)*+|%s)" % (re.escape(self.mark), *again, rest))

    def finds(self, text: bytes) -> Iterator[tuple[int, int, bytes]]:
        if self.mark in text:
            for escape in self._pattern.finditer(text):
                if (meant := self._meant(escape[0])) is not None:
                    yield (*escape.span(), meant)

    def undone(self, text: bytes) -> bytes:
        """Without these escapes; the very same where there is none."""
        some = self._some
        changed, count = self._pattern.subn(lambda escape: some[escape[0]], text)
        return changed if count and changed != text else text

    def _meant(self, escape: bytes) -> bytes | None:
        if escape.startswith(self._itself):
            return self.mark * (len(escape) // len(self._itself))
        return self._meaning(escape)


class _Meanings(dict[bytes, bytes]):
    """What an escape means, its own marks hidden; what is short is worked out once."""

    __slots__ = ("_meaning",)

    def __init__(self, meaning: Meaning) -> None:
        self._meaning = meaning

    def __missing__(self, escape: bytes) -> bytes:
        meant = self._meaning(escape)
        shown = escape if meant is None else meant.translate(_HIDDEN)
        if len(escape) <= 6 and len(self) < _OFTEN:
            self[escape] = shown
        return shown


@cache
def _decoder(short: bytes, wide: bool) -> Decoder:
    return Decoder(short, wide=wide)


@cache
def lowered() -> Decoder:
    """One for text in lower case, which undoes the escapes of printable ASCII, but for quotes."""
    return Decoder(b"/", wide=False, lowered=True)


def is_dense(text: bytes) -> bool:
    """Whether it has so many marks of escapes that a value in it is not told from the rest."""
    return len(text) > _DENSE and sum(map(text.count, MARKS)) > _DENSE


def letters(values: str) -> frozenset[int]:
    """The letters of the short escapes of what these values hold."""
    return frozenset(letter[0] for character, letter in _SHORT.items() if character in values)


def is_wide(values: str) -> bool:
    """Whether they hold more than printable ASCII."""
    return _PLAIN.fullmatch(values) is None


def decoder(short: frozenset[int], *, wide: bool) -> Decoder:
    """One that undoes the escapes of such values. `/` may stand in base64, which JSON may escape."""
    return _decoder(bytes(sorted(short | {0x2F})), wide)


def _mixed(text: bytes) -> bytes:
    """The lines that have escapes of several kinds, as far as marks tell; nothing of a dense text."""
    if sum(mark in text for mark in MARKS) < 2 or is_dense(text):
        return b""
    return b"\n".join(line for line in text.split(b"\n") if sum(mark in line for mark in MARKS) > 1)


def _counts(name: str, meant: str, *, wide: bool) -> bool:
    return name.endswith(";") and len(meant) == 1 and (wide or meant.isascii())


def _percent(escape: bytes) -> bytes:
    if len(escape) > 3:
        return chr(int(escape[2:], 16)).encode("utf-8", ERRORS)
    return bytes((int(escape[1:], 16),))


def _json(escape: bytes) -> bytes:
    if len(escape) == 2:
        return _MEANT.get(escape[1], escape[1:])
    if len(escape) == 12:
        high, low = int(escape[2:6], 16), int(escape[8:], 16)
        return chr(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF)).encode()
    return chr(int(escape[2:], 16)).encode("utf-8", ERRORS)


def _html(escape: bytes, names: dict[bytes, bytes]) -> bytes | None:
    if escape[1] != 0x23:
        return names.get(escape[1:])
    digits = escape[2:].rstrip(b";")
    number = int(digits[1:], 16) if digits[:1] in (b"x", b"X") else int(digits)
    return chr(number).encode("utf-8", ERRORS) if number <= 0x10FFFF else None
