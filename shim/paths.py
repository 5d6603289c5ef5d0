"""Texts of configuration blocks that are paths: marked as such where they are declared, absolute once they are read;
and what the files there give away.

`Annotated[str, PATH]`, also for the items of a list and the values of a mapping.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from shim.units import Block

B = TypeVar("B", bound=Block)

PATH: Final = "path"
"""Marks a path."""

KEY: Final = "key"
"""Marks what says where a key is: `file:PATH`, or else."""

PROGRAM: Final = "program"
"""Marks a program: a path where it holds a slash; without one it is looked up when it starts."""

LOCATION: Final = "location"
"""Marks what is a path unless it is a URL."""

_FILE: Final = "file:"


def resolved(folder: Path, text: str) -> str:
    """A path as an absolute one, relative to the folder of the file that names it.

    `..` stays: where the folder is a link, only the system knows what is above it.
    """
    return str(folder / text)


def absolute(block: B, folder: Path) -> B:
    """The block with absolute paths, wherever its fields are marked to be paths."""
    changes: dict[str, object] = {}
    for name in block.model_fields_set:
        changes[name] = _absolute(getattr(block, name), _mark(type(block), name), folder)
    return block.model_copy(update=changes)


def paths(block: Block, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every path in a block that is one text, and where it stands."""
    for name in type(block).model_fields:
        value, mark = getattr(block, name), _mark(type(block), name)
        if isinstance(value, Block):
            yield from paths(value, (*where, name))
        elif isinstance(value, str) and mark == PATH:
            yield (*where, name), value
        elif isinstance(value, str) and mark == KEY and value.startswith(_FILE):
            yield (*where, name), value.removeprefix(_FILE)


def _key(folder: Path, text: str) -> str:
    return _FILE + resolved(folder, text.removeprefix(_FILE)) if text.startswith(_FILE) else text


def _program(folder: Path, text: str) -> str:
    return resolved(folder, text) if "/" in text else text


def _location(folder: Path, text: str) -> str:
    return text if "://" in text else resolved(folder, text)


_BEFORE: Mapping[str, Callable[[Path, str], str]] = {
    PATH: resolved,
    KEY: _key,
    PROGRAM: _program,
    LOCATION: _location,
}


def _mark(block: type[Block], name: str) -> str | None:
    field = block.model_fields[name]
    return next((mark for mark in (*field.metadata, *_metadata(field.annotation)) if mark in _BEFORE), None)


def _metadata(annotation: Any) -> Iterator[str]:
    yield from (mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, str))
    for one in get_args(annotation):
        if not isinstance(one, str):
            yield from _metadata(one)


def _absolute(value: object, mark: str | None, folder: Path) -> object:
    if isinstance(value, Block):
        return absolute(value, folder)
    if isinstance(value, tuple):
        return tuple(_absolute(one, mark, folder) for one in value)
    if isinstance(value, Mapping):
        return {key: _absolute(one, mark, folder) for key, one in value.items()}
    return value if mark is None or not isinstance(value, str) else _BEFORE[mark](folder, value)


def missing(path: str) -> str | None:
    """What is wrong when a file that must be there is not; None: it is there, or cannot be looked at."""
    try:
        found = Path(path).is_file()
    except OSError:
        return None
    return None if found else f"there is no file {path}"


def unfit(path: str) -> str | None:
    """What is wrong with a file that holds a secret; None: nothing, or it is not there yet, or cannot be looked at."""
    try:
        is_other = not stat.S_ISREG(Path(path).stat().st_mode)
    except OSError:
        return None
    return f"{path} is not a regular file; put the secret into one" if is_other else exposed(path)


def exposed(path: str) -> str | None:
    """What is wrong when group or others can read a file that holds a key; None: they cannot, or it is not there."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return None
    return f"group or others can read {path}; chmod 600 it" if mode & 0o077 else None
