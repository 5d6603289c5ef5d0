"""How one value may be written by an upstream that says it again, but for escapes, which are undone beforehand."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from shim.secrets.escapes import ERRORS, decoder, is_wide, letters
from shim.secrets.hints import KINDS, kind_of

_SHORTEST = 8
_LINE = 16
"""Characters of one line of a value that are looked for alone (a private key, line by line)."""
_WINDOW = 12
_SAFE = bytes.maketrans(b"+/", b"-_")
_SPACE = b"\t\n\r "


_GOOD, _LEAST = 6, 4
"""Characters that a shorter piece should have, and must have: the fewer, the oftener it stands in a text by chance."""
_RUNS = tuple(re.compile(b"[%s]{%d,}" % (re.escape(only.encode()), _LEAST)) for only in KINDS)


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a value, in UTF-8. `before`, `after`: a character there holds bits of the value too.

    `bare` is without white space; `any_case`: found in either case, and written in the lower one.
    """

    text: bytes
    before: bool = False
    after: bool = False
    any_case: bool = False

    @property
    def bare(self) -> bytes:
        return self.text.translate(None, _SPACE)

    def windows(self) -> tuple[bytes, ...]:
        """Short pieces, in lower case, of which a text that holds this form has one.

        That is so even where lines are broken after 24 characters or more, or once within a shorter form. They are
        from its middle: many values begin or end as all of their kind do. And of characters that are seldom escaped,
        if it has them: see `hints`.
        """
        text = self.text.lower()
        if len(text) < _LINE and not (self.before or self.after or self.any_case):
            usual: tuple[bytes, ...] = (text,)
            of = _longest
        else:
            width = min(_WINDOW, len(text) // 2)
            start = (len(text) - 2 * width) // 2
            usual = text[start : start + width], text[start + width : start + 2 * width]
            of = _pair
        if all(kind_of(piece) == 0 for piece in usual):
            return usual
        for least in (min(_GOOD, len(usual[0])), _LEAST):
            for runs in _RUNS:
                if found := of(text, [run.span() for run in runs.finditer(text)], least):
                    return found
        return usual


def forms(value: str) -> Iterator[Form]:
    """All that is looked for."""
    raw = value.encode("utf-8", ERRORS)
    for text in _texts(value):
        yield Form(text.encode("utf-8", ERRORS))
    yield Form(raw.hex().encode(), any_case=True)
    for offset in range(3):
        bits = 8 * (offset + len(raw))
        core = base64.b64encode(bytes(offset) + raw)[(0, 2, 3)[offset] : bits // 6]
        for text_ in {core, core.translate(_SAFE)}:
            yield Form(text_, before=offset > 0, after=bits % 6 > 0)


def _longest(text: bytes, runs: list[tuple[int, int]], least: int) -> tuple[bytes, ...]:
    start, end = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
    return (text[start:end],) if end - start >= least else ()


def _pair(text: bytes, runs: list[tuple[int, int]], least: int) -> tuple[bytes, ...]:
    """Two pieces as long as may be, one after the other in one run or in neighbouring ones, near to the middle."""
    found: list[tuple[int, int, int, int]] = []
    for start, end in runs:
        width = min(_WINDOW, (end - start) // 2)
        middle = min(max(len(text) // 2, start + width), end - width)
        found.append((width, -abs(middle - len(text) // 2), middle, middle))
    for (start, end), (further, last) in pairwise(runs):
        width = min(end - start, last - further, (2 * _WINDOW - (further - end)) // 2)
        found.append((width, -abs(end - len(text) // 2), end, further))
    width, _, first, second = max(found, default=(0, 0, 0, 0))
    return (text[first - width : first], text[second : second + width]) if width >= least else ()


def _texts(value: str) -> set[str]:
    found = {value}
    found |= {line.strip() for line in value.splitlines() if len(line.strip()) >= _LINE and not line.startswith("---")}
    found |= {whole for whole in ("".join(value.splitlines()), value.replace(" ", "+")) if len(whole) >= _SHORTEST}
    for text in tuple(found):
        # A value that looks as if it were escaped: what undoes the escapes around it undoes those too.
        layers = decoder(letters(text), wide=is_wide(text)).layers(text.encode("utf-8", ERRORS))
        found |= {whole for layer in layers if len(whole := layer.decoded.decode("utf-8", "replace")) >= _SHORTEST}
    return found
