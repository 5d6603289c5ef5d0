"""URI templates (RFC 6570), as far as somebody who stands between a client and a server has to understand them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from shim.model import Json

_RESERVED = ":/?#[]@!$&'()*+,;="
_EXPRESSION = re.compile(r"\{([+#./;?&]?)([^{}]*)\}")
_OPERATORS = {
    "": ("", ",", False),
    "+": ("", ",", False),
    "#": ("#", ",", False),
    ".": (".", ".", False),
    "/": ("/", "/", False),
    ";": (";", ";", True),
    "?": ("?", "&", True),
    "&": ("&", "&", True),
}
"""Of each operator (appendix A): what stands before the first value, what before others, and whether each is named."""

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


def variables(template: str) -> frozenset[str]:
    """The names of what its expressions expand."""
    return frozenset(_name(spec) for found in _EXPRESSION.finditer(template) for spec in found[2].split(","))


def filled(template: str, values: Mapping[str, Json], *, escaped: bool) -> str:
    """The template with these values in its expressions (section 3.2).

    What has no value yet stays, and so do those after it in the same expression. Not `escaped`: values stand there as
    they are, as many servers read them.
    """

    def value(found: re.Match[str]) -> str:
        operator, specs, text = found[1], found[2].split(","), ""
        first, between, named = _OPERATORS[operator]
        safe = _RESERVED if operator in ("+", "#") else ""
        for at, spec in enumerate(specs):
            given = values.get(_name(spec))
            if not isinstance(given, str):
                return f"{text}{{{operator}{','.join(specs[at:])}}}"
            shown = _cut(given, spec)
            shown = quote(shown, safe=safe, encoding="utf-8", errors="surrogatepass") if escaped else shown
            text += (between if at else first) + (f"{_name(spec)}={shown}" if named else shown)
        return text

    return _EXPRESSION.sub(value, template)


def _name(spec: str) -> str:
    return spec.removesuffix("*").partition(":")[0]


def _cut(given: str, spec: str) -> str:
    most = spec.partition(":")[2]
    return given[: int(most)] if most.isdecimal() else given


def _quoted(text: str) -> str:
    return _WILDCARDS.sub(r"\\\g<0>", text)
