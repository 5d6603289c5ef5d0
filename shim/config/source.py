"""Configuration files as texts."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from shim import yamltext
from shim.yamltext import Malformed


@dataclass(frozen=True, slots=True)
class Source:
    """One file as it was read.

    `file` is how messages name it, `name` its path relative to the configuration's folder (in which it is kept on the
    record), `exposed` whether group or others can read it.
    """

    path: Path
    file: str
    name: str
    raw: bytes
    text: str
    exposed: bool

    @property
    def folder(self) -> Path:
        """What paths in this file are relative to."""
        return self.path.parent


def read(path: Path, file: str, name: str) -> Source:
    """Read one file. Raises Malformed for what is not there, not a regular file, not UTF-8, or too long."""
    if "\0" in str(path):
        raise Malformed(1, "a path cannot hold a NUL character")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise Malformed(1, "this is not a regular file; name a YAML file")
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                data = stream.read(yamltext.MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Malformed(1, f"the file cannot be read: {error.strerror}; name a YAML file with --config") from None
    return Source(path, file, name, data, yamltext.decode(data), bool(mode & 0o044))


def expand(folder: Path, pattern: str) -> list[Path]:
    """The files that a pattern of `include` means, sorted. Raises ValueError when there are none."""
    # Path.glob refuses absolute patterns, and shows hidden files.
    found = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
    paths = [folder / name for name in found if (folder / name).is_file()]
    if not paths:
        raise ValueError(f"no file matches {pattern[:120]!r}; take the pattern out, or make the file")
    return paths


def digest(sources: Sequence[Source]) -> str:
    """The digest of the texts as read: of one file its SHA-256, of several that of their listing by `sha256sum`.

    So anyone can check it: `sha256sum shim.yaml`, or `sha256sum shim.yaml policy/*.yaml | sha256sum` in the folder.
    """
    digests = [sha256(source.raw).hexdigest() for source in sources]
    if len(digests) == 1:
        return digests[0]
    listing = "".join(f"{hexed}  {source.name}\n" for hexed, source in zip(digests, sources, strict=True))
    return sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
