"""Paths in a configuration, and what the files there give away."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, get_args

from shim.config.source import Source
from shim.record.config import RecordBlock
from shim.secrets.config import SecretBlock, SourceBlock
from shim.secrets.source import KEY, PATH
from shim.server.config import ServerBlock
from shim.store.config import StoreUrl
from shim.units import Block
from shim.upstream.config import UpstreamBlock

B = TypeVar("B", bound=Block)

_FILE = "file:"


def resolved(folder: Path, text: str) -> str:
    """A path as an absolute one, relative to the folder of the file that names it.

    `..` stays: where the folder is a link, only the system knows what is above it.
    """
    return str(folder / text)


def server(block: ServerBlock, source: Source) -> ServerBlock:
    """The block with absolute paths."""
    if block.tls is None:
        return block
    paths = {key: resolved(source.folder, getattr(block.tls, key)) for key in ("cert", "key")}
    return block.model_copy(update={"tls": block.tls.model_copy(update=paths)})


def store(url: StoreUrl, source: Source) -> StoreUrl:
    """The store with an absolute path."""
    return StoreUrl("sqlite:" + resolved(source.folder, url.path))


def record(block: RecordBlock, source: Source) -> RecordBlock:
    """The block with absolute paths."""
    return block if block.key is None else block.model_copy(update={"key": resolved(source.folder, block.key)})


def upstream(block: UpstreamBlock, source: Source, folder: Path) -> UpstreamBlock:
    """The block with absolute paths; `folder` is the configuration's, where a program runs unless `cwd` says else.

    A program that is named with a slash is a path like any other; without one it is looked up in PATH when it starts.
    """
    changes: dict[str, object] = {}
    if block.command is not None:
        changes["cwd"] = resolved(source.folder, block.cwd) if block.cwd is not None else str(folder)
        if "/" in block.command[0]:
            changes["command"] = (resolved(source.folder, block.command[0]), *block.command[1:])
    if block.openapi is not None and not block.is_fetched:
        changes["openapi"] = resolved(source.folder, block.openapi)
    if block.tls is not None:
        paths = {
            key: resolved(source.folder, value)
            for key in ("ca", "cert", "key")
            if (value := getattr(block.tls, key)) is not None
        }
        changes["tls"] = block.tls.model_copy(update=paths)
    return block.model_copy(update=changes)


def secret(block: SecretBlock, source: Source) -> SecretBlock:
    """The block with an absolute path, where what it has is a path: that of a vault is none."""
    if block.source != "file" or block.path is None:
        return block
    return block.model_copy(update={"path": resolved(source.folder, block.path)})


def source(block: SourceBlock, source: Source) -> SourceBlock:
    """The block with absolute paths, wherever its fields are marked to be paths."""
    return _absolute(block, source.folder)


def paths(block: Block, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every path in a block, and where it stands."""
    for name in type(block).model_fields:
        value = getattr(block, name)
        if isinstance(value, Block):
            yield from paths(value, (*where, name))
        elif isinstance(value, str) and _is_marked(block, name, PATH):
            yield (*where, name), value
        elif isinstance(value, str) and _is_marked(block, name, KEY) and value.startswith(_FILE):
            yield (*where, name), value.removeprefix(_FILE)


def _absolute(block: B, folder: Path) -> B:
    changes: dict[str, object] = {}
    for name in block.model_fields_set:
        value = getattr(block, name)
        if isinstance(value, Block):
            changes[name] = _absolute(value, folder)
        elif isinstance(value, str) and _is_marked(block, name, PATH):
            changes[name] = resolved(folder, value)
        elif isinstance(value, str) and _is_marked(block, name, KEY) and value.startswith(_FILE):
            changes[name] = _FILE + resolved(folder, value.removeprefix(_FILE))
    return block.model_copy(update=changes)


def _is_marked(block: Block, name: str, mark: str) -> bool:
    field = type(block).model_fields[name]
    return mark in field.metadata or any(
        mark in getattr(choice, "__metadata__", ()) for choice in get_args(field.annotation)
    )


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
