"""What the tools of an upstream cost a model that is shown them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from shim import jsontext
from shim.model import Offered, Tool

MOST_TOOLS: Final = 128
"""More than these no model provider takes, or no model tells apart."""

MOST_TOKENS: Final = 50_000

_BYTES_A_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class Weight:
    """How many tools, and the bytes of their definitions as clients get them."""

    tools: int = 0
    bytes: int = 0

    @property
    def tokens(self) -> int:
        """Roughly: models differ, and JSON is no prose."""
        return self.bytes // _BYTES_A_TOKEN

    @property
    def too_much(self) -> str | None:
        """What is wrong with showing a model all of it; None: nothing."""
        if self.tools <= MOST_TOOLS and self.tokens <= MOST_TOKENS:
            return None
        return (
            f"its {self.tools} tools are {self.bytes} bytes, about {self.tokens} tokens, for whoever may see them all; "
            f"models do well with {MOST_TOOLS} tools and {MOST_TOKENS} tokens at most: choose fewer, or grant fewer"
        )


def weights(offered: Iterable[Offered]) -> Mapping[str, Weight]:
    """By the names of upstreams."""
    found: dict[str, Weight] = {}
    for one in offered:
        if isinstance(one, Tool):
            before = found.get(one.upstream, Weight())
            size = len(jsontext.dump({**one.definition, "name": one.wire}))
            found[one.upstream] = Weight(before.tools + 1, before.bytes + size)
    return found
