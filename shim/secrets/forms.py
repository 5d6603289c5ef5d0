"""How one value may be written by an upstream that says it again, and how such writing is undone."""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from html.entities import html5
from urllib.parse import quote, quote_plus

ERRORS = "surrogatepass"
"""JSON can hold half a surrogate pair, which is no UTF-8."""

_SHORTEST = 8
_LINE = 16
"""Characters of one line of a value that are looked for alone (a private key, line by line)."""

_ALWAYS = set("%\\&#;+/=-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
"""Whose escapes always count: they may stand in base64, in hex, or in another escape."""

_SHORT = {'"': b'"', "'": b"'", "/": b"/", "\b": b"b", "\f": b"f", "\n": b"n", "\r": b"r", "\t": b"t"}
_HIDDEN = bytes.maketrans(b"\\%&", b"\xff\xfe\xfd")
_SHOWN = bytes.maketrans(b"\xff\xfe\xfd", b"\\%&")
"""What is in no UTF-8 stands for the mark of an escape that was just undone, so that it begins no other."""

_CONTROL = {0x62: b"\b", 0x66: b"\f", 0x6E: b"\n", 0x72: b"\r", 0x74: b"\t"}


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a value, in UTF-8. `before`, `after`: a character there holds bits of the value too."""

    text: bytes
    before: bool = False
    after: bool = False


def forms(value: str) -> Iterator[Form]:
    """All that is looked for as it stands; what has only some characters escaped is found by `Decoder`."""
    raw = value.encode("utf-8", ERRORS)
    for text in _texts(value):
        yield Form(text.encode("utf-8", ERRORS))
    yield Form(raw.hex().encode())
    yield Form(raw.hex().upper().encode())
    for offset in range(3):
        bits = 8 * (offset + len(raw))
        core = base64.b64encode(bytes(offset) + raw)[(0, 2, 3)[offset] : bits // 6]
        for text_ in {core, core.translate(bytes.maketrans(b"+/", b"-_"))}:
            yield Form(text_, before=offset > 0, after=bits % 6 > 0)


def _texts(value: str) -> set[str]:
    found = {value}
    found |= {line.strip() for line in value.splitlines() if len(line.strip()) >= _LINE and not line.startswith("---")}
    found |= {whole for whole in ("".join(value.splitlines()), value.replace(" ", "+")) if len(whole) >= _SHORTEST}
    for text in tuple(found):
        percent = quote(text, safe="", errors=ERRORS)
        lower = re.sub("%..", lambda escape: escape[0].lower(), percent)
        ascii_, plain = json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
        found |= {percent, lower, quote_plus(text, errors=ERRORS), quote(text, errors=ERRORS)}
        found |= {ascii_, plain, html.escape(text), html.escape(text, quote=False)}
    decoder = Decoder(value)
    for text in tuple(found):
        # A value that looks as if it were escaped: what undoes the escapes around it undoes those too.
        layers = decoder.layers(text.encode("utf-8", ERRORS))
        found |= {whole for layer in layers if len(whole := layer.decoded.decode("utf-8", "replace")) >= _SHORTEST}
    return found


@dataclass(frozen=True, slots=True)
class Layer:
    """A text with its escapes undone. Escape number i stood at `starts[i]:ends[i]`, and is now `at[i]:till[i]`."""

    decoded: bytes
    starts: list[int]
    ends: list[int]
    at: list[int]
    till: list[int]

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
    """Undoes percent, JSON and HTML escapes of the characters that some values have, mixed as they come.

    Of those characters alone: an ordinary text is full of escaped line ends and quotes, which no value holds.
    """

    __slots__ = ("_kinds", "_short")

    MOST = 5
    """Layers that are undone, one around the other."""

    def __init__(self, values: str) -> None:
        """`values`: one after the other."""
        wanted = set(values) | _ALWAYS
        octets = sorted(set("".join(wanted).encode("utf-8", ERRORS)))
        by_high: dict[int, str] = {}
        for octet in octets:
            low = f"{octet & 15:x}"
            by_high[octet >> 4] = by_high.get(octet >> 4, "") + low
        percent = "|".join(f"{high:x}[{lows}]" for high, lows in by_high.items())
        short = b"".join(re.escape(letter) for character, letter in _SHORT.items() if character in wanted)
        self._short = [
            (b"\\" + letter, character.encode()) for character, letter in _SHORT.items() if character in wanted
        ]
        unit = b"[0-9a-f]{4}" if max(map(ord, wanted)) > 0xFF else b"00[0-9a-f]{2}"
        pair = b"ud[89ab][0-9a-f]{2}\\\\ud[c-f][0-9a-f]{2}"
        names = "|".join(re.escape(name) for name in sorted(_entities(wanted), key=len, reverse=True))
        self._kinds: tuple[tuple[bytes, re.Pattern[bytes], Callable[[bytes], bytes | None]], ...] = (
            # A run of one and the same is one escape: a long one is hostile, and would cost as much as all the rest.
            (b"%", re.compile(b"(?i)(?:%%25)++|%%(?:%s)" % percent.encode()), _percent),
            (b"\\", re.compile(b"(?:\\\\\\\\)++|\\\\(?:[%s]|(?i:%s|u%s|x[0-9a-f]{2}))" % (short, pair, unit)), _json),
            (
                b"&",
                re.compile(b"(?:&amp;)++|&(?:#0*+[0-9]{1,7}+;?|#[xX]0*+[0-9a-fA-F]{1,6}+;?|(?:%s))" % names.encode()),
                _html,
            ),
        )

    def layers(self, text: bytes) -> Iterator[Layer]:
        """The text with its outermost escapes undone, then those of that, and so on."""
        for _ in range(self.MOST):
            layer = self._undone(text)
            if layer is None:
                return
            yield layer
            text = layer.decoded

    def plainer(self, text: bytes) -> Iterator[bytes]:
        """What `layers` decodes, much faster where most escapes are quotes, as in JSON within JSON."""
        for _ in range(self.MOST):
            before = text
            if b"\\" in text:
                text = text.replace(b"\\\\", b"\xff")
                for escape, meant in self._short:
                    text = text.replace(escape, meant)
            for mark, pattern, meaning in self._kinds:
                if mark in text:
                    text = pattern.sub(partial(_kept, meaning), text)
            text = text.translate(_SHOWN)
            if text == before:
                return
            yield text

    def _undone(self, text: bytes) -> Layer | None:
        found: list[tuple[int, int, bytes]] = []
        for mark, pattern, meaning in self._kinds:
            if mark in text:
                for escape in pattern.finditer(text):
                    meant = meaning(escape[0])
                    if meant is not None:
                        found.append((*escape.span(), meant))
        if not found:
            return None
        found.sort()
        layer = Layer(b"", [], [], [], [])
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
        return Layer(b"".join(pieces), layer.starts, layer.ends, layer.at, layer.till)


def _kept(meaning: Callable[[bytes], bytes | None], escape: re.Match[bytes]) -> bytes:
    meant = meaning(escape[0])
    return escape[0] if meant is None else meant.translate(_HIDDEN)


def _entities(wanted: set[str]) -> Iterator[str]:
    return (name for name, character in html5.items() if name.endswith(";") and character in wanted)


def _percent(escape: bytes) -> bytes:
    return b"%" * (len(escape) // 3) if len(escape) > 3 else bytes((int(escape[1:], 16),))


def _json(escape: bytes) -> bytes | None:
    second = escape[1]
    if second == 0x5C:
        return b"\\" * (len(escape) // 2)
    if len(escape) == 2:
        return _CONTROL.get(second, escape[1:])
    if len(escape) == 12:
        high, low = int(escape[2:6], 16), int(escape[8:], 16)
        return chr(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF)).encode()
    return chr(int(escape[2:], 16)).encode("utf-8", ERRORS)


def _html(escape: bytes) -> bytes | None:
    if escape[1] != 0x23:
        return b"&" * (len(escape) // 5) if escape.startswith(b"&amp;") else html5[escape[1:].decode()].encode()
    digits = escape[2:].rstrip(b";")
    number = int(digits[1:], 16) if digits[:1] in (b"x", b"X") else int(digits)
    return chr(number).encode("utf-8", ERRORS) if number <= 0x10FFFF else None
