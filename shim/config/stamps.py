"""Which files a configuration is made of now, and what tells that one of them has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from yaml import ScalarNode, SequenceNode

from shim import yamltext
from shim.config import placeholders, source
from shim.yamltext import Malformed

Stamp: TypeAlias = tuple[int, ...] | None
"""What differs once a file or folder was replaced or written; None where there is none."""


def stamp(path: Path) -> Stamp:
    """The stamp of what a path leads to now."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def patterns(main: Path, environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """What a configuration includes, however much else is wrong with it. None: it cannot be told."""
    try:
        text = source.read(main, str(main), main.name).text
        _, value = yamltext.locate(yamltext.compose(text), ("include",))
    except Malformed:
        return None
    if not isinstance(value, SequenceNode):
        return ()
    return tuple(placeholders.expand(item.value, environ).text for item in value.value if isinstance(item, ScalarNode))


def included(folder: Path, wanted: Iterable[str]) -> list[Path]:
    """The files that the patterns of `include` mean now."""
    found: dict[Path, None] = {}
    for pattern in wanted:
        try:
            found.update(dict.fromkeys(source.expand(folder, pattern)))
        except ValueError:
            continue
    return list(found)
