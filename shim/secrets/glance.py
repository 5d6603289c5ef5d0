"""Whether a text may hold a value of a lease: nearly none does, and that is told at little cost."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from shim.secrets.escapes import MARKS, lowered
from shim.secrets.hints import KINDS, hints
from shim.secrets.patterns import Group

_PART = 1 << 12
_LOWER = bytes(range(256)).lower()


class Glance:
    """For values of these groups: one may be where a piece of one is, as it is or in an escape that hints tell of."""

    def __init__(self, groups: Sequence[Group]) -> None:
        members = [patterns for group in groups for patterns in group.members]
        kind = max((patterns.kind for patterns in members), default=0)
        self._groups = groups
        self._characters = KINDS[kind] if kind < len(KINDS) else None
        self._marked = any(patterns.marked for patterns in members)

    def over(self, joined: bytes, apart: bytes) -> bool:
        """In one of some texts, or over neighbouring ones; both are all of them, with something between them or not."""
        lower = joined.lower()
        places = None if self._has_piece(lower) else self._places(lower)
        if not places:
            return places is None
        # Where two meet, they may make an escape.
        return self._means(lower, places) or (len(apart) > len(joined) and self._may_mean(apart, len(apart)))

    def document(self, document: bytes) -> bool:
        """In a JSON document, over neighbouring strings too.

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
        return any(group.may_be_in(lower) for group in self._groups)

    def _places(self, lower: bytes, size: int = 0) -> list[tuple[int, int]] | None:
        """Where escapes may be those of a value; None: it may be anywhere."""
        if self._characters is None:
            return None if any(mark in lower for mark in MARKS) else []
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
        return any(map(self._has_piece, (text, *lowered().ways(text, mixed=self._marked))))
