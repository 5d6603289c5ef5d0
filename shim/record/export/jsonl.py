"""One JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shim import jsontext
from shim.model import JsonObject


def encode(items: Iterable[JsonObject]) -> Iterator[bytes]:
    """A line for each object, in UTF-8."""
    for item in items:
        yield jsontext.dump(item) + b"\n"
