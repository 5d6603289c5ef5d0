"""`tokens.yaml`: the digests of the API tokens that `token new` made, `{IDENTITY: [{id, sha256, …}]}`.

The file holds digests alone, so reading it harms nobody; who may write it can let themselves in, so a file that group
or others can write is not believed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

from shim import yamltext
from shim.errors import ShimError
from shim.identity.config import Name, TokenBlock
from shim.yamltext import Flaw, Malformed

NAME = "tokens.yaml"
"""It lies beside the configuration."""

Entries: TypeAlias = Mapping[str, tuple[TokenBlock, ...]]
Stamp: TypeAlias = tuple[int, int, int, int] | None
"""What tells one state of the file from the next; None: there is no file."""

_ENTRIES: TypeAdapter[dict[Name, tuple[TokenBlock, ...]]] = TypeAdapter(dict[Name, tuple[TokenBlock, ...]])


class TokenFileError(ShimError):
    """A token file that cannot be believed: all that is wrong with it."""

    def __init__(self, path: Path, flaws: list[Flaw]) -> None:
        super().__init__("\n".join(f"{path}:{flaw.line}: {flaw.message}" for flaw in flaws))
        self.path = path
        self.flaws = flaws


@dataclass(frozen=True, slots=True)
class TokenFile:
    """One reading. `lines` has the line of each token's id."""

    entries: Entries
    lines: Mapping[str, int]
    stamp: Stamp


def stamp(path: Path) -> Stamp:
    """The file's stamp now. Raises TokenFileError when it cannot be looked at."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TokenFileError(path, [Flaw(1, f"the file cannot be looked at: {error.strerror}")]) from None
    return _stamp_of(found)


def _stamp_of(found: os.stat_result) -> Stamp:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read(path: Path) -> TokenFile:
    """What the file holds; nothing where there is none. Raises TokenFileError with every fault."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return TokenFile({}, {}, None)
    except OSError as error:
        raise TokenFileError(path, [Flaw(1, f"the file cannot be read: {error.strerror}")]) from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise TokenFileError(path, [Flaw(1, "this is not a regular file")])
        if found.st_mode & 0o022:
            message = f"group or others can write this file, and could let themselves in; chmod 600 {path}"
            raise TokenFileError(path, [Flaw(1, message)])
        data = file.read(yamltext.MAX_BYTES + 1)
    return _parsed(path, data, _stamp_of(found))


def _parsed(path: Path, data: bytes, seen: Stamp) -> TokenFile:
    try:
        text = yamltext.decode(data)
        root = yamltext.compose(text)
        value, flaws = yamltext.plain(text, root)
    except Malformed as error:
        raise TokenFileError(path, [Flaw(error.line, str(error))]) from None
    entries: dict[str, tuple[TokenBlock, ...]] = {}
    lines: dict[str, int] = {}

    def line(*steps: str | int) -> int:
        point, _ = yamltext.locate(root, steps)
        return yamltext.line_of(text, point.start_mark.index) if point is not None else 1

    try:
        entries = _ENTRIES.validate_python({} if value is None else value)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            steps = tuple(step for step in fault["loc"] if step != "[key]")
            flaws.append(Flaw(line(*steps), _said(steps, fault["type"], fault["msg"])))
    digests: dict[str, int] = {}
    for identity, tokens in entries.items():
        for position, token in enumerate(tokens):
            here = line(identity, position)
            if token.id in lines:
                flaws.append(Flaw(here, f"the token id {token.id} is taken by line {lines[token.id]}; choose another"))
            if token.sha256 in digests:
                flaws.append(Flaw(here, f"this token stands in line {digests[token.sha256]} as well; keep one of them"))
            lines.setdefault(token.id, here)
            digests.setdefault(token.sha256, here)
    if flaws:
        raise TokenFileError(path, flaws)
    return TokenFile(entries, lines, seen)


def _said(steps: tuple[str | int, ...], kind: str, message: str) -> str:
    what = ".".join(str(step) for step in steps) or "the file"
    if kind == "string_pattern_mismatch":
        return f"{what} is not what it must be (an id, a name, or 64 lower-case hex digits of SHA-256)"
    if kind == "extra_forbidden":
        return f"{what}: an entry holds id, sha256, expires, run and created, and nothing else"
    if kind == "missing":
        return f"{what} is missing; write {{id: NAME, sha256: 64 HEX DIGITS}}"
    if kind in ("tuple_type", "dict_type", "model_type"):
        return f"{what} has another shape; write `IDENTITY: [{{id: NAME, sha256: 64 HEX DIGITS}}]`"
    return f"{what}: {message.removeprefix('Value error, ')}"
