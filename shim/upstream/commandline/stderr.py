"""What a program says on its stderr: its end, for whoever reads why it failed, and its lines, as progress."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_KEPT: Final = 16 * 1024
_SHOWN: Final = 4000
_LINE: Final = 200
_LONGEST: Final = 4096
_BREAK: Final = re.compile(rb"[\r\n]+")
_CONTROL: Final = re.compile(
    r"\x1b\[[0-9;?]{0,16}[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


class Stderr:
    """Called with every piece of it. `hide` takes out what nobody should read; `told` gets each line, where wanted."""

    def __init__(self, hide: Callable[[str], str], told: Callable[[str], None] | None = None) -> None:
        self._hide = hide
        self._told = told
        self._end = b""
        self._cut = False
        self._line = b""

    def __call__(self, data: bytes) -> None:
        whole = self._end + data[-_KEPT:]
        self._cut = self._cut or len(data) > _KEPT or len(whole) > _KEPT
        self._end = whole[-_KEPT:]
        if self._told is not None:
            *lines, self._line = _BREAK.split(self._line + data)
            # One that is longer is not told: what is cut off may be a part of a secret, which nothing would recognise.
            self._line = self._line[: _LONGEST + 1]
            for line in lines:
                if len(line) <= _LONGEST and (text := self._readable(line).strip()):
                    self._told(text[:_LINE])

    @property
    def end(self) -> str:
        """The last of its lines, whole ones and safe to show; empty where it said nothing."""
        # What is cut off may be the end of a secret, which nothing would recognise.
        kept = self._end.partition(b"\n")[2] if self._cut else self._end
        lines = [self._readable(line) for line in kept.splitlines()]
        text = "\n".join(lines).strip()
        return text if len(text) <= _SHOWN else "…" + text[-_SHOWN:].partition("\n")[2]

    def _readable(self, line: bytes) -> str:
        return self._hide(_CONTROL.sub("", line.decode("utf-8", "replace")))
