"""The forms in which invocations leave the record: one file a format, one line here for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from shim.model import JsonObject
from shim.record.export import commas, jsonl

Format: TypeAlias = Callable[[Iterable[JsonObject]], Iterator[bytes]]
"""Turns exported objects into pieces of a file, each as soon as it can be written."""

FORMATS: dict[str, Format] = {
    "jsonl": jsonl.encode,
    "csv": commas.encode,
}

__all__ = ["FORMATS", "Format"]
