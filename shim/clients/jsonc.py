"""JSON with comments and trailing commas: making it strict without moving a character, and editing it in place.

Microsoft's editors call this JSONC; Claude Code and Gemini CLI accept the same. An edit touches one member of one
object (or element of one array) and leaves every other byte, comments and odd spacing included, as it was.
"""

from __future__ import annotations

import re

from shim.errors import InvalidText

SPACE = " \t\r\n"

_STRING = r'"(?:[^"\\\r\n]++|\\.)*+"?'
_COMMENT = re.compile(rf"{_STRING}|//[^\r\n]*+|/\*(?s:.*?)\*/|/\*")
_COMMA = re.compile(rf"{_STRING}|[\[{{][ \t\r\n]*+,|,(?=[ \t\r\n]*+[}}\]])")
_INK = re.compile(r"[^\r\n]")


def bare(text: str) -> str:
    """The text with comments blanked; what stays has its place. Raises InvalidText for one that does not end."""

    def blanked(found: re.Match[str]) -> str:
        token = found[0]
        if token.startswith('"'):
            return token
        if token == "/*":
            raise InvalidText(f"a comment does not end (character {found.start()})")
        return _INK.sub(" ", token)

    return _COMMENT.sub(blanked, text)


def clean(text: str) -> str:
    """The text with comments and trailing commas blanked: strict JSON, if it is any; what stays has its place."""

    def blanked(found: re.Match[str]) -> str:
        token = found[0]
        if token.startswith('"'):
            return token
        if token != ",":
            raise InvalidText(f"a comma stands before any value (character {found.end() - 1})")
        return " "

    return _COMMA.sub(blanked, bare(text))
