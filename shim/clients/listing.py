"""The tools of one upstream as lines of a grant's `allow:`, each a comment until somebody takes `# ` away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shim.clients.scalars import escaped, scalar
from shim.model import Json, Tool

LONGEST_PATTERN = 1024
"""Characters of a pattern (`shim.policy.check`)."""

_LONGEST_SENTENCE = 100
_LOOKED_AT = 2000
_SENTENCE = re.compile(r".*?[.!?](?=\s|$)", re.DOTALL)
_SPECIAL = re.compile(r"[*?\[\]{}\\]")

READS, CHANGES, DESTROYS, UNSAID = range(4)
TITLES: Final = ("Only reads", "Changes things", "Can destroy", "Does not say what it does")


@dataclass(frozen=True, slots=True)
class Listing:
    """What one upstream offers, or why that is not known: `problem` is one line for people."""

    tools: Sequence[Tool] = ()
    left_out: Sequence[tuple[str, str]] = ()
    problem: str | None = None


class Keys:
    """The keys that were found, so that they are not shown whatever a server says of them.

    A short key is a word as well: it is looked for only from 8 characters on, and within names from 12 on.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = sorted((text for text in texts if len(text) >= 8), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text without them."""
        for key in self._texts:
            text = text.replace(key, "[key]")
        return text

    def are_in(self, name: str) -> bool:
        """Whether a name gives one away."""
        return any(len(key) >= 12 and key in name for key in self._texts)


def pattern(tool: Tool) -> str:
    """The pattern that means this tool and no other, whatever its name is."""
    return f"{tool.upstream}/{_SPECIAL.sub(lambda found: chr(92) + found[0], tool.name)}"


def group(tool: Tool) -> int:
    """What a tool says that it does to the world, taken at its worst (specification, `ToolAnnotations`).

    The specification's own default for what is not read-only is destructive.
    """
    hints = _hints(tool)
    reads, destroys = hints.get("readOnlyHint"), hints.get("destructiveHint")
    if destroys is True or (reads is False and destroys is not False):
        return DESTROYS
    if reads is True:
        return READS
    return CHANGES if reads is False or destroys is False else UNSAID


def lines(listing: Listing, indent: str, room: int, *, read_only: bool, keys: Keys) -> Iterator[str]:
    """The lines of one `allow:`, at most about `room` characters of them; `read_only` allows what only reads.

    A tool whose name gives a key away is not listed.
    """
    groups: dict[int, list[Tool]] = {}
    unlisted = [(name, why) for name, why in listing.left_out]
    for tool in listing.tools:
        if keys.are_in(tool.name) or len(pattern(tool)) > LONGEST_PATTERN:
            unlisted.append((keys.hide(tool.name), "no pattern can name it here"))
        else:
            groups.setdefault(group(tool), []).append(tool)
    more = 0
    for number in sorted(groups):
        yield f"{indent}## {TITLES[number]}:"
        for tool in groups[number]:
            line = _line(tool, keys)
            room -= len(line)
            if room < 0:
                more += 1
            elif read_only and number == READS:
                yield f"{indent}- {line}"
            else:
                yield f"{indent}# - {line}"
    if more:
        yield f"{indent}## … and {more:,} more that found no room here; write them as `- UPSTREAM/TOOL`"
    for name, why in unlisted[:100]:
        yield f"{indent}## left out, {escaped(name[:80])}: {escaped(why[:200])}"
    if len(unlisted) > 100:
        yield f"{indent}## … and {len(unlisted) - 100:,} more are left out"


def _line(tool: Tool, keys: Keys) -> str:
    hints = _hints(tool)
    said = [
        word
        for key, word in (
            ("readOnlyHint", "read-only"),
            ("destructiveHint", "destructive"),
            ("idempotentHint", "idempotent"),
            ("openWorldHint", "reaches out"),
        )
        if hints.get(key) is True
    ]
    sentence = first_sentence(tool.definition.get("description"), keys)
    remark = " ".join([*([sentence] if sentence else []), *([f"[{', '.join(said)}]"] if said else [])])
    return scalar(pattern(tool)) + (f"  # {remark}" if remark else "")


def first_sentence(description: Json, keys: Keys) -> str:
    """The first sentence of a description on one line, cut where it is long, and with nothing in it that acts."""
    if not isinstance(description, str):
        return ""
    # Hidden before it is cut: half of a key is not found any more.
    text = " ".join(keys.hide(description[:_LOOKED_AT]).split())
    found = _SENTENCE.match(text)
    sentence = escaped(found[0] if found is not None else text)
    return sentence if len(sentence) <= _LONGEST_SENTENCE else sentence[: _LONGEST_SENTENCE - 2].rstrip() + " …"


def _hints(tool: Tool) -> dict[str, Json]:
    hints = tool.definition.get("annotations")
    return hints if isinstance(hints, dict) else {}
