"""`{arguments.NAME}`: what a call itself is about, in what its credential is limited to.

A model chooses arguments. They stand only where they can make a credential narrower, and each place says by its
escape what a value may look like there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from shim.secrets.filling import filled
from shim.secrets.source import Purpose, Unavailable

_ARGUMENT = re.compile(r"(\{arguments\.[^{}]+\})")
ANY: Final = re.compile(r"\{(?:identity|tool|invocation|(?:claims|arguments)\.[^{}]+)\}")
"""Every placeholder that there is."""


def filled_of_call(text: str, purpose: Purpose, escape: Callable[[str], str]) -> str:
    """`filling.filled`, and the call's own arguments as well. What was filled in is not looked at again.

    Raises Unavailable.
    """
    # Split first: a value that looks like a placeholder is text.
    parts = _ARGUMENT.split(text)
    return "".join(
        escape(_argument(part[len("{arguments.") : -1], purpose)) if place % 2 else filled(part, purpose, escape)
        for place, part in enumerate(parts)
    )


def _argument(name: str, purpose: Purpose) -> str:
    if purpose.arguments is None:
        raise Unavailable(f"it is limited by the argument {name}, and what it is leased for is not one call")
    value = purpose.arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unavailable(f"it is limited by the argument {name}, and this call has no text or whole number there")
    return str(value)
