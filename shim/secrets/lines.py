"""Taking values out of what is written line by line: what a process says on its standard error, what the shim logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from shim.secrets.escapes import ERRORS
from shim.secrets.patterns import Group, Patterns
from shim.secrets.scrubbing import Scrubber

_PIECE = 12
_SHORTEST = 8


class LineScrubber:
    """Called with one line after the other, gives each without values.

    Of what the writer itself was handed, pieces go too, where one line ends and the next begins: a line is out before
    the next is read, so that nothing that is split could be found later. A piece of fewer than 12 characters stays.
    """

    def __init__(self, handed: Mapping[str, str], alive: Callable[[], Sequence[Group]]) -> None:
        """`handed` by reference; `alive` is asked at each line for what else is to be hidden."""
        self._own = Patterns({name: value for name, value in handed.items() if len(value) >= _SHORTEST})
        own = (Group([self._own]),) if self._own else ()
        self._scrubber = Scrubber(lambda: (*alive(), *own))
        self._pieces: dict[bytes, str] | None = None
        self._before = b""

    def __call__(self, line: str) -> str:
        if self._own:
            line = self._without_pieces(line)
        return self._scrubber.text(line)

    def _without_pieces(self, line: str) -> str:
        if self._pieces is None:
            self._pieces = dict(_pieces(self._own))
        pieces, text = self._pieces, line.encode("utf-8", ERRORS)
        lead = len(text) - len(text.lstrip())
        joined = self._before + text.strip()
        first, self._before = len(self._before), joined[1 - _PIECE :]
        lower = joined.lower()

        def piece(start: int) -> str | None:
            end = start + _PIECE
            return pieces.get(joined[start:end]) or pieces.get(lower[start:end])

        begun = next((start for start in range(max(0, first - _PIECE + 1), first) if piece(start)), None)
        done, label = first, ""
        if begun is not None:
            label = piece(begun) or ""
            while piece(begun + 1):
                begun += 1
            done = min(begun + _PIECE, len(joined))
        rest, cut = len(joined), ""
        if rest - done >= _PIECE and (cut := piece(rest - _PIECE) or ""):
            rest -= _PIECE
            while rest > done and piece(rest - 1):
                rest -= 1
        if not label and not cut:
            return line
        whole = text[:lead] + label.encode() + joined[done:rest] + cut.encode()
        return whole.decode("utf-8", "replace")


def _pieces(patterns: Patterns) -> Sequence[tuple[bytes, str]]:
    return [
        (form.text[start : start + _PIECE], label)
        for form, label in patterns.forms
        for start in range(len(form.text) - _PIECE + 1)
    ]
