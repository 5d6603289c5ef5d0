"""A value of a server on its way from a client's file into the configuration: what of it is text, and what is a key.

A client's value is literal text with places where the client puts something in (`Server`). The configuration has its
own placeholders, in which a key is named and never written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

_PLACE = re.compile(r"\$\{(?:env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?|input:([^{}\n]+))\}", re.ASCII)
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
_WHY = "it holds a NUL, or what is not Unicode"


class Inexpressible(ValueError):
    """A value that the configuration has no way to write; `str()` completes "it cannot be taken over: "."""


@dataclass(frozen=True, slots=True)
class Text:
    """What stands there literally."""

    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable of the client. `secret`: what stands in it is a credential."""

    name: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What the client asks the person for. `secret`: it hides what is typed.

    `source` is the file whose question it is: another's of the same id asks for something else.
    """

    id: str
    secret: bool
    source: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A credential that stands there literally. `wanted` is what its secret might be called."""

    text: str = field(repr=False)
    wanted: str


Part: TypeAlias = Text | Variable | Asked | Key
Value: TypeAlias = tuple[Part, ...]


def read(text: str, environ: Mapping[str, str], secret_inputs: frozenset[str], source: str) -> Value:
    """The parts of a value of the client's file `source`. A variable that is not set and has a default is its default.

    Raises Inexpressible for what is not text.
    """
    if _NOT_TEXT.search(text):
        raise Inexpressible(_WHY)
    parts: list[Part] = []
    at = 0
    for found in _PLACE.finditer(text):
        parts.append(Text(text[at : found.start()]))
        at = found.end()
        name, default, asked = found.groups()
        if asked is not None:
            parts.append(Asked(asked, asked in secret_inputs, source))
        elif default is not None and not environ.get(name):
            parts.append(Text(default))
        else:
            parts.append(Variable(name))
    parts.append(Text(text[at:]))
    return joined(parts)


def joined(parts: list[Part]) -> Value:
    """The parts with texts that touch made one, and empty ones gone."""
    result: list[Part] = []
    for part in parts:
        last = result[-1] if result else None
        if isinstance(part, Text) and isinstance(last, Text):
            result[-1] = Text(last.text + part.text)
        elif part != Text(""):
            result.append(part)
    return tuple(result)


def literal(value: Value) -> str | None:
    """The text of a value that is nothing but text; None where it is more."""
    if not value:
        return ""
    return value[0].text if len(value) == 1 and isinstance(value[0], Text) else None


def written(value: Value, place: Callable[[Part], str]) -> str:
    """The value as the configuration writes it: its text quoted, `place` giving the placeholder of all else.

    Raises Inexpressible.
    """
    result: list[str] = []
    for part in value:
        if isinstance(part, Text):
            if _NOT_TEXT.search(part.text):
                raise Inexpressible(_WHY)
            result.append(part.text.replace("${", "$${"))
        elif result and result[-1].endswith("$"):
            # `$` and `${x}` together would read as the quoted `$${`.
            raise Inexpressible("a `$` stands right before a variable")
        else:
            result.append(place(part))
    return "".join(result)
