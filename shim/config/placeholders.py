"""`${env:NAME}` in values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PLACEHOLDER = re.compile(r"(\$\$\{)|\$\{([^{}\n]*)(\}?)")
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_SECRET = re.compile(r"secret:.+")


@dataclass(frozen=True, slots=True)
class Expanded:
    """A value with its placeholders replaced.

    `unset` names variables that have no value; `wrong` says what else is wrong. Where there is either, `text` is the
    value as it was written.
    """

    text: str
    unset: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def from_environment(text: str) -> bool:
    """Whether a value as written takes anything from the environment."""
    return any(found[2] is not None and _ENV.fullmatch(found[2]) for found in _PLACEHOLDER.finditer(text))


def expand(text: str, environ: Mapping[str, str]) -> Expanded:
    """Replace placeholders once: what a variable holds is not looked at again. `$${` stands for `${`."""
    if "\0" in text:
        return Expanded(text, wrong=("a NUL character cannot stand in a value; take it out",))
    if "${" not in text:
        return Expanded(text)
    unset: list[str] = []
    wrong: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        if found[1]:
            return "${"
        name = _ENV.fullmatch(found[2]) if found[3] else None
        if name is None:
            wrong.append(_wrong(found[2], bool(found[3])))
            return ""
        value = environ.get(name[1])
        if value is None:
            unset.append(name[1])
            return ""
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            wrong.append(f"the environment variable {name[1]} is not UTF-8; set it to text")
        return value

    result = _PLACEHOLDER.sub(replaced, text)
    if unset or wrong:
        return Expanded(text, tuple(unset), tuple(wrong))
    return Expanded(result)


def _wrong(content: str, closed: bool) -> str:
    if not closed:
        return "a `${` is not closed; write ${env:NAME}, or $${ for a literal ${"
    if _SECRET.fullmatch(content):
        return f"not supported by this version: ${{{content[:60]}}}; write ${{env:NAME}}"
    return f"{'${' + content[:60] + '}'!r} is no placeholder; write ${{env:NAME}}, or $${{ for a literal ${{"
