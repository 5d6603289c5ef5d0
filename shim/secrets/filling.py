"""What a call gives to the texts that a source is asked with: `{identity}`, `{claims.NAME}` and the like."""

from __future__ import annotations

import re
from collections.abc import Callable

from shim.secrets.source import Purpose, Unavailable

_PLACE = re.compile(r"\{(identity|tool|invocation|claims\.[^{}]+)\}")


def filled(text: str, purpose: Purpose, escape: Callable[[str], str]) -> str:
    """The text with its placeholders filled once, each value escaped. Raises Unavailable."""
    return _PLACE.sub(lambda found: escape(_value(found[1], purpose)), text)


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
