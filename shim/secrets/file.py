"""`source: file`: a file that only its owner can read, or a member of the JSON object in it."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from shim import jsontext, templates
from shim.errors import InvalidText
from shim.model import JsonObject
from shim.secrets.aside import Aside
from shim.secrets.filling import PLACE, filled, segment
from shim.secrets.source import MAX_BYTES, Issued, LongLived, Purpose, Unavailable
from shim.units import Block


def _is_path(path: str) -> str:
    if "{" in (rest := PLACE.sub("", path)) or "}" in rest:
        raise ValueError("`path` may hold {identity}, {claims.NAME}, {tool} and {invocation}, and no other { }")
    return path


class Keys(Block):
    """What such a secret is asked for by. `path` is absolute once the configuration is read."""

    path: Annotated[str, StringConstraints(min_length=1), AfterValidator(_is_path)] | None = None
    field: Annotated[str, StringConstraints(pattern=f"^{templates.FIELD}$")] | None = None


class File(LongLived):
    """Files are read at each call, so a file that was replaced holds from the next one on.

    Links are followed, for so are secrets mounted; who may read is asked of the file that was opened. What a caller
    gives to a path is a part of one name in it, and never leads elsewhere than the configuration says.
    """

    def __init__(self) -> None:
        self._aside: Aside[bytes] = Aside("the file")
        self._reads: dict[tuple[_Name, ...], _Reads] = {}

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        """See `Source`. A field is a member of the file's JSON object; without one, the secret's own `field` counts."""
        names = tuple(_Name.of(part, purpose) for part in (secret.path or "").split("/"))
        path, data = _path(names), await self._read(names)
        members = {field: field or secret.field for field in fields}
        return Issued(
            {field: _member(path, data, member) if member else _text(data) for field, member in members.items()}
        )

    async def _read(self, names: tuple[_Name, ...]) -> bytes:
        """The content of a file, read after this was called: who comes while it is read shares the next reading."""
        reads = self._reads.get(names)
        if reads is None:
            answer = self._begin(names, _Reads())
        else:
            answer = reads.next = reads.next or asyncio.get_running_loop().create_future()
        try:
            return await asyncio.shield(answer)
        except Unavailable as unavailable:
            # Each waiter its own: what is raised collects where it went.
            raise Unavailable(str(unavailable)) from None

    def _begin(self, names: tuple[_Name, ...], reads: _Reads) -> asyncio.Future[bytes]:
        answer = self._aside.begin(partial(_look_up, names))
        self._reads[names] = reads
        answer.add_done_callback(lambda _: self._go_on(names, reads))
        return answer

    def _go_on(self, names: tuple[_Name, ...], reads: _Reads) -> None:
        waiting, reads.next = reads.next, None
        if waiting is None:
            del self._reads[names]
            return
        try:
            self._begin(names, reads).add_done_callback(partial(_pass_on, waiting))
        except Unavailable as unavailable:
            del self._reads[names]
            waiting.set_exception(unavailable)


@dataclass(slots=True)
class _Reads:
    """Of one file that is being read: what is to be told of the reading after that, where somebody waits for it."""

    next: asyncio.Future[bytes] | None = None


def _pass_on(waiting: asyncio.Future[bytes], done: asyncio.Future[bytes]) -> None:
    error = done.exception()
    if error is not None:
        waiting.set_exception(error)
    else:
        waiting.set_result(done.result())


@dataclass(frozen=True, slots=True)
class _Name:
    """One part of a path. `is_filled`: a caller gave something to it."""

    text: str
    is_filled: bool

    @classmethod
    def of(cls, part: str, purpose: Purpose) -> _Name:
        return cls(filled(part, purpose, segment), PLACE.search(part) is not None)


def _path(names: Sequence[_Name]) -> str:
    return "/".join(name.text for name in names)


def _look_up(names: Sequence[_Name]) -> bytes:
    path = _path(names)
    for count, name in enumerate(names):
        if name.is_filled:
            _stands(path, _path(names[:count]) + "/" if count else ".", name.text)
    return read(path)


def _stands(path: str, folder: str, name: str) -> None:
    """Raises Unavailable unless the folder has just this name.

    Where file systems take `Alice` for `alice`, one caller would be given what is another's.
    """
    try:
        with os.scandir(folder) as found:
            is_there = any(one.name == name for one in found)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no folder can have this name"
        raise Unavailable(f"the folder of {path} cannot be looked into: {why}") from None
    if not is_there:
        raise Unavailable(f"there is no file {path}; write this caller's secret into one (0600)")


def read(path: str) -> bytes:
    """The content of a file that its owner alone has a part in. Blocks; raises Unavailable."""
    try:
        # Without waiting: a pipe that nobody writes to would hold the call for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file can have this name"
        raise Unavailable(f"the file {path} cannot be read: {why}") from None
    try:
        return _content(path, descriptor)
    finally:
        os.close(descriptor)


def _content(path: str, descriptor: int) -> bytes:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise Unavailable(f"{path} is not a regular file; put the secret into one")
    if mode & 0o077:
        raise Unavailable(f"group or others can read {path}; chmod 600 it")
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unavailable(f"the file {path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise Unavailable(f"the file {path} is longer than {MAX_BYTES // 1024} KiB; a secret is not")
    return data


def _text(data: bytes) -> str:
    # What is not UTF-8 becomes what no UTF-8 holds: the error of a decoder would hold the whole secret.
    text = data.decode("utf-8", "surrogateescape")
    # Editors end a file with a newline that nobody means; of more, the rest is the secret's own.
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _value(path: str, data: bytes, member: str | None) -> str:
    return _text(data) if member is None else _member(path, data, member)


def _member(path: str, data: bytes, member: str) -> str:
    content = _object(data)
    if content is None:
        raise Unavailable(f"the file {path} is not one JSON object, so it has no field {member}")
    value = content.get(member)
    if not isinstance(value, str):
        raise Unavailable(f"the JSON object in {path} has no text under {member}")
    return value


def _object(data: bytes) -> JsonObject | None:
    # What the reader says may quote the file, and what it raises holds it: neither goes further.
    try:
        return jsontext.parse_object(data)
    except InvalidText:
        return None
