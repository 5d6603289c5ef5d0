"""What things are called on the wire, and which names no client should be shown."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from shim.policy.uris import MAX_URI

_NOT_WIRE = re.compile(r"[^A-Za-z0-9_-]")
_WIRE_MAX = 64
_WIRE_CUT = 55
_NAME_MAX = 1024

_UNPRINTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Default_Ignorable_Code_Point (Unicode 15, DerivedCoreProperties) beyond the general category Cf, and the blank
# Braille pattern: all are drawn as nothing, so that two names look like one.
_INVISIBLE = frozenset(
    chr(point)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for point in range(first, last + 1)
)


def wire_name(prefix: str, upstream: str, name: str) -> str:
    """The name that clients see for a tool or a prompt of an upstream.

    A character outside `[A-Za-z0-9_-]` becomes `_`; a name that was changed so, or is over 64 characters, is cut to
    55 and gets `_` and the first 8 hex digits of SHA-256 of `upstream/tool`.
    """
    full = prefix + name
    plain = _NOT_WIRE.sub("_", full)
    if plain == full and len(full) <= _WIRE_MAX:
        return full
    mark = hashlib.sha256(f"{upstream}/{name}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[:_WIRE_CUT]}_{mark}"


def strange(name: object) -> str | None:
    """Why a name is left out, None for one that is fit to be shown."""
    if not isinstance(name, str):
        return "its name is not text"
    if not name:
        return "its name is empty"
    if "/" in name:
        return "its name contains a slash"
    if len(name) > _NAME_MAX:
        return f"its name has more than {_NAME_MAX} characters"
    if any(_is_invisible(character) for character in name):
        return "its name contains a control or invisible character"
    return None


def strange_uri(uri: object) -> str | None:
    """Why a URI, or a URI template, is left out, None for one that is fit to be shown."""
    if not isinstance(uri, str):
        return "its URI is not text"
    if not uri:
        return "its URI is empty"
    if len(uri) > MAX_URI:
        return f"its URI has more than {MAX_URI} characters"
    if any(_is_invisible(character) for character in uri):
        return "its URI contains a control or invisible character"
    return None


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _UNPRINTED or character in _INVISIBLE
