"""Which operations of a document are offered, and what their tools are called.

A selector is `tag:NAME`, `METHOD /path/**`, or a name of a tool or an id; each may be a glob, and `!` before it takes
away. They hold in order: the last that fits an operation decides.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from shim.upstream.openapi.operations import Heading

LONGEST: Final = 64
_CUT: Final = 55
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_GLOB: Final = re.compile(r"\*\*|\*|\?|\[!?[^\]]+\]|\\.|.", re.DOTALL)


def named(headings: Sequence[Heading]) -> Mapping[str, str]:
    """The tool's name of each operation, by its method and path.

    That of its id, or else of its method and path. Of those that would be equal each gets the first 8 hex digits of
    SHA-256 of method and path, and so does one that is cut because it is longer than 64 characters.
    """
    wanted = {one.spot: _wanted(one) for one in headings}
    shared = Counter(wanted.values())
    return {
        spot: f"{name[:_CUT]}_{_mark(spot)}" if shared[name] > 1 or len(name) > LONGEST else name
        for spot, name in wanted.items()
    }


def chosen(
    selectors: Sequence[str], headings: Sequence[Heading], names: Mapping[str, str]
) -> tuple[list[Heading], list[int]]:
    """The operations that are offered, in the document's order, and the positions of selectors that fit none at all."""
    fits = [_selector(one.removeprefix("!")) for one in selectors]
    idle = set(range(len(selectors)))
    kept: list[Heading] = []
    for heading in headings:
        is_chosen = False
        for position, fit in enumerate(fits):
            if fit(heading, names[heading.spot]):
                is_chosen = not selectors[position].startswith("!")
                idle.discard(position)
        if is_chosen:
            kept.append(heading)
    return kept, sorted(idle)


def _wanted(heading: Heading) -> str:
    told = heading.id
    if told is not None:
        told = _ILLEGAL.sub("_", _without_suffix(told, heading)).strip("_.-")
    return told or _ILLEGAL.sub("_", f"{heading.method.lower()}{heading.path}").strip("_.-")


def _without_suffix(told: str, heading: Heading) -> str:
    """An id without what FastAPI adds to the name of the function: its path and method, exactly so."""
    suffix = re.sub(r"\W", "_", heading.path) + f"_{heading.method.lower()}"
    return told.removesuffix(suffix) or told


def _mark(spot: str) -> str:
    return hashlib.sha256(spot.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _selector(text: str) -> Callable[[Heading, str], bool]:
    if text.startswith("tag:"):
        tag = _glob(text.removeprefix("tag:"))
        return lambda heading, _: any(tag.fullmatch(one) for one in heading.tags)
    method, space, path = text.partition(" ")
    if space:
        where = _glob(path)
        return lambda heading, _: method in ("*", heading.method) and where.fullmatch(heading.path) is not None
    name = _glob(text)
    return lambda heading, known: any(name.fullmatch(one) for one in (known, heading.id or known))


def _glob(text: str) -> re.Pattern[str]:
    """`*` and `?` do not cross a slash, `**` does."""
    return re.compile("".join(_piece(one) for one in _GLOB.findall(text)), re.DOTALL)


def _piece(piece: str) -> str:
    simple = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    if piece in simple:
        return simple[piece]
    if len(piece) > 2 and piece[0] == "[":
        is_not = piece[1] == "!"
        return f"[{'^' if is_not else ''}{re.escape(piece[2 if is_not else 1 : -1])}]".replace(r"\-", "-")
    return re.escape(piece[-1])
