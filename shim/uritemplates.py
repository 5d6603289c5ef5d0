"""URI templates (RFC 6570), as far as somebody who stands between a client and a server has to understand them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from shim.model import Json

_RESERVED = ":/?#[]@!$&'()*+,;="
_SIMPLE = re.compile(r"\{([+#]?)([A-Za-z0-9_.%]+)\*?\}")
_WILDCARDS = re.compile(r"[*?\[\\]")


def fault(template: str) -> str | None:
    """Why a text is no URI template (section 2): its expressions are not closed, empty or nested."""
    for piece in template.split("{")[1:]:
        expression, closed, _ = piece.partition("}")
        if not closed or not expression:
            return "its URI template has an expression that is empty or not closed"
    if template.count("}") != template.count("{"):
        return "its URI template closes an expression that was not opened"
    return None


def beginning(template: str) -> str:
    """The text that every expansion begins with."""
    return template.partition("{")[0]


def pattern(template: str) -> str:
    """A glob that matches every expansion, and perhaps more: servers differ in what they take for a value."""
    literal, *pieces = template.split("{")
    return _quoted(literal) + "".join(f"**{_quoted(piece.partition('}')[2])}" for piece in pieces)


def filled(template: str, values: Mapping[str, Json], *, escaped: bool) -> str:
    """The template with these values in its simple, reserved and fragment expressions (section 3.2.2 to 3.2.4).

    Expressions that have no value yet, and those of other kinds, stay. Not `escaped`: values stand there as they are,
    as many servers read them.
    """

    def value(found: re.Match[str]) -> str:
        operator, name = found.groups()
        given = values.get(name)
        if not isinstance(given, str):
            return found[0]
        safe = _RESERVED if operator else ""
        text = quote(given, safe=safe, encoding="utf-8", errors="surrogatepass") if escaped else given
        return f"#{text}" if operator == "#" else text

    return _SIMPLE.sub(value, template)


def _quoted(text: str) -> str:
    return _WILDCARDS.sub(r"\\\g<0>", text)
