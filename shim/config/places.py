"""Where to look for changes of a configuration: every name through which its files are reached, and in which folder.

Editors replace files, and mounted configurations are swapped by one link: what is watched is never a file, which would
be the old one afterwards, but the folders in which its names stand.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from yaml import ScalarNode, SequenceNode

from shim import yamltext
from shim.config import placeholders, source
from shim.identity import tokenfile
from shim.yamltext import Malformed

Stamp: TypeAlias = tuple[int, ...] | None
"""What differs once a file or folder was replaced or written; None where there is none."""

MOST = 256
"""Folders that are watched; what lies beyond is found by looking."""

_LINKS = 40


def stamp(path: Path) -> Stamp:
    """The stamp of what a path leads to now."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def identity(folder: Path) -> Stamp:
    """Which folder a path leads to now, whatever is in it."""
    found = stamp(folder)
    return found[:2] if found is not None else None


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


def places(main: Path, wanted: Iterable[str], files: Iterable[Path]) -> dict[Path, set[str]]:
    """The folders to watch, each with the names (as patterns of `fnmatch`) that matter there.

    A folder that is not there is stood for by the nearest above it that is, and the name that leads back.
    """
    found: dict[Path, set[str]] = {}

    def watch(folder: Path, name: str) -> None:
        while not folder.is_dir() and folder != folder.parent:
            folder, name = folder.parent, folder.name
        if folder in found or len(found) < MOST:
            found.setdefault(folder, set()).add(glob.escape(name))

    for path in (main, main.with_name(tokenfile.NAME), main.parent, *files):
        for link in _trail(path):
            watch(link.parent, link.name)
    for pattern in wanted:
        for folder, name in _steps(main.parent, pattern):
            if folder in found or len(found) < MOST:
                found.setdefault(folder, set()).add(name)
    return found


def _trail(path: Path) -> Iterator[Path]:
    """The names through which a path leads to what it means: itself, and each link on the way."""
    todo, seen = [path], {path}
    yield path
    while todo:
        one = todo.pop()
        for part in (*reversed(one.parents), one):
            if not part.is_symlink():
                continue
            target = Path(os.path.realpath(part.parent)) / part.readlink()
            further = Path(os.path.normpath(target / one.relative_to(part)))
            for name in (part, further):
                if name not in seen and len(seen) < _LINKS:
                    seen.add(name)
                    yield name
                    if name is further:
                        todo.append(name)
            break


def _steps(folder: Path, pattern: str) -> Iterator[tuple[Path, str]]:
    """Where a pattern of `include` could come to match: each folder on its way, and what matters there."""
    parts = Path(pattern).parts
    for count, part in enumerate(parts):
        above = Path(*parts[:count])
        # Path.glob refuses absolute patterns.
        names = glob.glob(str(above), root_dir=folder, recursive=True) if count else ["."]  # noqa: PTH207
        for name in names:
            if (folder / name).is_dir():
                yield folder / name, "*" if part == "**" else part


def kept(found: Mapping[Path, Collection[str]]) -> tuple[tuple[Path, Stamp], ...]:
    """Which folders these are: a folder that was replaced is another, and has to be watched anew."""
    return tuple((folder, identity(folder)) for folder in sorted(found))
