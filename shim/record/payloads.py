"""The form in which arguments and results are kept, and the digest by which they hang on the chain."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from shim import jsontext
from shim.model import Json, JsonObject
from shim.record.config import Keep
from shim.record.redact import Redactor

SALT_BYTES = 16
_LARGE = 128 * 1024
_MANY = 4000


@dataclass(frozen=True, slots=True)
class Kept:
    """`content` is None under `digest`; `sha256` is over salt and content as it would have been, lower-case hex.

    `size` is the number of bytes of the value before redaction, as compact JSON.
    """

    salt: bytes
    content: bytes | None
    sha256: str
    keep: Keep
    redactions: int
    size: int


def salt_digest(salt: bytes) -> str:
    """SHA-256(salt), lower-case hex: what holds the salt in place where there is no content to do so."""
    return hashlib.sha256(salt).hexdigest()


def digest(salt: bytes, content: bytes) -> str:
    """SHA-256(salt, content), lower-case hex."""
    return hashlib.sha256(salt + content).hexdigest()


def _is_large(value: Json) -> bool:
    """Whether there is much to walk through; found out by walking no further than that."""
    waiting, left = [value], _MANY
    while waiting:
        value = waiting.pop()
        left -= 1
        if isinstance(value, str):
            left -= len(value) // 64
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        if left < len(waiting):
            return True
    return False


class Payloads:
    """Prepares what is kept."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._redactor = Redactor()

    async def keep(self, value: JsonObject, keep: Keep, schema: JsonObject | None = None, size: int = 0) -> Kept:
        """The kept form of arguments or a result; `size` is about how many bytes it is, where that is known.

        What is large is prepared in a thread, so that others can go on.
        """
        if size > _LARGE or (not size and _is_large(value)):
            return await asyncio.to_thread(self._keep, value, keep, schema)
        return self._keep(value, keep, schema)

    def _keep(self, value: JsonObject, keep: Keep, schema: JsonObject | None) -> Kept:
        shown, count = self._redactor.redact(value, schema) if keep != "full" else (value, 0)
        content = jsontext.dump(shown)
        size = len(content) if not count else len(jsontext.dump(value))
        salt = self._random(SALT_BYTES)
        return Kept(salt, content if keep != "digest" else None, digest(salt, content), keep, count, size)
