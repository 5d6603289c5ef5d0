"""`${env:NAME}` and `${secret:NAME}` in values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shim import templates

_PLACEHOLDER = re.compile(r"(\$\$\{)|\$\{([^{}\n]*)(\}?)")
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_SECRET = re.compile(rf"secret:({templates.NAME}(?:\.{templates.FIELD})?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Expanded:
    """A value with its placeholders replaced: those of secrets by places, as `shim.templates` has them.

    `unset` names variables that have no value; `wrong` says what else is wrong. Where there is either, `text` is the
    value as it was written.
    """

    text: str
    unset: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def from_environment(text: str) -> bool:
    """Whether a value as written takes anything from the environment."""
    return next(variables(text), None) is not None


def variables(text: str) -> Iterator[str]:
    """The environment variables that a value as written takes."""
    for found in _PLACEHOLDER.finditer(text):
        name = _ENV.fullmatch(found[2]) if found[2] is not None and found[3] else None
        if name is not None:
            yield name[1]


def secrets(text: str) -> tuple[str, ...]:
    """The secrets that a value as written refers to, each `NAME` or `NAME.FIELD`, in order."""
    inside = (_SECRET.fullmatch(found[2]) for found in _PLACEHOLDER.finditer(text) if found[2] is not None)
    return tuple(found[1] for found in inside if found is not None)


def expand(text: str, environ: Mapping[str, str]) -> Expanded:
    """Replace placeholders once: what a variable holds is not looked at again. `$${` stands for `${`.

    Where a secret may stand is not judged here.
    """
    if templates.MARK in text:
        # Taken out, so that it is never taken for the mark of a place.
        what = "a NUL character cannot stand in a value; take it out"
        return Expanded(text.replace(templates.MARK, ""), wrong=(what,))
    if "${" not in text:
        return Expanded(text)
    unset: list[str] = []
    wrong: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        if found[1]:
            return "${"
        secret = _SECRET.fullmatch(found[2]) if found[3] else None
        if secret is not None:
            return templates.place(secret[1])
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
        if templates.MARK in value:
            wrong.append(f"the environment variable {name[1]} holds a NUL character; set it to text")
        return value

    result = _PLACEHOLDER.sub(replaced, text)
    if unset or wrong:
        return Expanded(text, tuple(unset), tuple(wrong))
    return Expanded(result)


def _wrong(content: str, closed: bool) -> str:
    if not closed:
        return "a `${` is not closed; write ${env:NAME} or ${secret:NAME}, or $${ for a literal ${"
    if content.startswith("secret:"):
        return f"{'${' + content[:60] + '}'!r} names no secret; write ${{secret:NAME}} or ${{secret:NAME.FIELD}}"
    return (
        f"{'${' + content[:60] + '}'!r} is no placeholder; write ${{env:NAME}} or ${{secret:NAME}}, "
        "or $${ for a literal ${"
    )
