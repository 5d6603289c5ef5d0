"""Making text from hostile sources safe to show.

Names, arguments and results come from tools and agents. On a terminal a control character can move the cursor or set
the title, and a bidirectional one can reorder what is read, so for people every such character is shown as an escape.
"""

from __future__ import annotations

import re
import unicodedata

from shim import jsontext
from shim.model import Json

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# What needs no closer look: printable ASCII, and letters that cannot be told apart by category cheaply are looked up.
_PLAIN = re.compile(r"[ -~]*")


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str, *, lines: bool = False) -> str:
    """The text with control, bidirectional, invisible and unassigned characters as escapes (`\\x1b`, `\\u202e`).

    With `lines`, line feeds and tabs stay; else they are escaped too, so that the result is one line.
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        character
        if (lines and character in "\n\t") or unicodedata.category(character) not in _UNSAFE
        else {"\n": "\\n", "\t": "\\t"}.get(character) or _escape(character)
        for character in text
    )


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def json_text(value: Json) -> str:
    """One line of JSON that is safe to show: what `visible` would escape is a `\\u` escape; the value is the same."""
    text = jsontext.dump(value).decode("utf-8")
    if _PLAIN.fullmatch(text):
        return text
    # Outside strings compact JSON holds nothing but ASCII: whatever matches stands inside a string.
    return "".join(
        _json_escape(character) if unicodedata.category(character) in _UNSAFE else character for character in text
    )
