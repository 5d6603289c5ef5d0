"""Text from outside in a YAML file: as a value that reads back as what it was, or as a remark that stays one."""

from __future__ import annotations

import re
import textwrap
import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SEEN = re.compile(r"[ -~]*")
_PLAIN = re.compile(r"(?:[A-Za-z/]|--?[A-Za-z])(?:[A-Za-z0-9_./@%+=-]|:(?=[A-Za-z0-9_./]))*")
# What other readers of YAML take for something else than text.
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def scalar(text: str) -> str:
    """A YAML scalar that reads back as this text, within `[…]` and `{…}` too, on one line. No lone surrogates.

    Plain where every reader would take it for text, else in quotes; what cannot be seen stands there as an escape.
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    shown = escaped(text)
    if shown == text and ('"' in text or "\\" in text):
        return "'" + text.replace("'", "''") + "'"
    return '"' + escaped(text, _IN_QUOTES) + '"'


_IN_QUOTES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def escaped(text: str, more: dict[str, str] | None = None) -> str:
    """The text with what is not seen or acts on a terminal as escapes; `more` gives other characters their own."""
    if more is None and _SEEN.fullmatch(text):
        return text
    special = more or {}
    return "".join(
        special.get(one) or (_escape(ord(one)) if unicodedata.category(one) in _UNSEEN else one) for one in text
    )


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def flow(texts: tuple[str, ...]) -> str:
    """A list of scalars on one line."""
    return f"[{', '.join(map(scalar, texts))}]"


def remark(text: str, indent: str = "", longest: int = 1000) -> list[str]:
    """Lines that no reader of YAML looks at: `## …`, white space folded, cut at so many characters."""
    words = escaped(" ".join(text[: longest * 2].split()))
    if len(words) > longest:
        words = words[:longest] + " …"
    room = 118 - len(indent) - 3
    return [f"{indent}## {line}".rstrip() for line in textwrap.wrap(words, room, break_on_hyphens=False)]
