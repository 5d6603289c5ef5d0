"""Paths in a configuration, and what the files there give away."""

from __future__ import annotations

from pathlib import Path

from shim.config.source import Source
from shim.paths import absolute, resolved
from shim.record.config import RecordBlock
from shim.secrets.config import SecretBlock, SourceBlock
from shim.server.config import ServerBlock
from shim.store.config import StoreUrl
from shim.upstream import places
from shim.upstream.config import UpstreamBlock


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
    """The block with absolute paths; `folder` is the configuration's."""
    return places.absolute(block, source.folder, folder)


def secret(block: SecretBlock, source: Source) -> SecretBlock:
    """The block with an absolute path, where what it has is a path: that of a vault is none."""
    if block.source != "file" or block.path is None:
        return block
    return block.model_copy(update={"path": resolved(source.folder, block.path)})


def source(block: SourceBlock, source: Source) -> SourceBlock:
    """The block with absolute paths, wherever its fields are marked to be paths."""
    return absolute(block, source.folder)
