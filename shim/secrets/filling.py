"""What a call gives to the texts that a source is asked with: `{identity}`, `{claims.NAME}` and the like."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from shim.secrets.source import Purpose, Unavailable

PLACE: Final = re.compile(r"\{(identity|tool|invocation|claims\.[^{}]+)\}")
_NOT_PLAIN = re.compile("[/\\\\%\\x00-\\x20\\x7f-\\xa0\u200b-\u200f\u2028-\u202f\ufeff]")


def filled(text: str, purpose: Purpose, escape: Callable[[str], str]) -> str:
    """The text with its placeholders filled once, each value escaped. Raises Unavailable."""
    return PLACE.sub(lambda found: escape(_value(found[1], purpose)), text)


def segment(value: str) -> str:
    """An escape that keeps a value one segment of a path, and two values two: `/`, `\\`, `%` and what is invisible
    become `%XX`, all else stays. Raises Unavailable for what no segment can be.

    The path is encoded as a whole once it is filled. A server takes one layer of escapes off before it splits a path
    (Go's net/http does), so that an escape of one layer keeps `/` out of nothing.
    """
    if value in ("", ".", ".."):
        raise Unavailable(f"it is asked for at a path with a part that would be {value!r}")
    return _NOT_PLAIN.sub(lambda found: quote(found[0], safe=""), value)


def _value(name: str, purpose: Purpose) -> str:
    if name.startswith("claims."):
        claim = purpose.claims.get(name.removeprefix("claims."))
        if isinstance(claim, bool) or not isinstance(claim, str | int):
            raise Unavailable(f"it is asked for by {{{name}}}, and this caller's claims have no text or number there")
        return str(claim)
    value = {"identity": purpose.identity, "tool": purpose.tool, "invocation": purpose.invocation}[name]
    if value is None:
        raise Unavailable(f"it is asked for by {{{name}}}, and what it is leased for has none")
    return value
