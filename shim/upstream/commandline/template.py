"""What a tool's arguments become: the words of a command line, and nothing else.

A word is written as text with places, `--author={author}`; `{{` and `}}` are braces. However hostile a value, it stays
within the word in whose place it stands, and makes no word an option that was not written as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

NAME: Final = "[A-Za-z0-9_.-]{1,64}"
"""An argument's name, as a regular expression: what models' interfaces take."""

_PIECE: Final = re.compile(rf"\{{({NAME})\}}|(\{{\{{)|(\}}\}})|([{{}}])")
_PLACE: Final = re.compile(rf"\{{{NAME}\}}")

Value: TypeAlias = str | tuple[str, ...]
"""What fills a place: one text, or the texts of an array."""

Values: TypeAlias = Mapping[str, Value]
"""By the argument's name; what has no value is not in it."""


class Misfit(Exception):
    """A value that cannot stand where it would. `name` is its argument's; `str()` says why, without the value."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of an argument's value."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """One word, of literals and places."""

    parts: tuple[str | Slot, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts if isinstance(part, Slot))

    @property
    def whole(self) -> str | None:
        """The argument that is all of it."""
        first = self.parts[0] if len(self.parts) == 1 else None
        return first.name if isinstance(first, Slot) else None

    @property
    def begins(self) -> str:
        """The literal that it begins with, up to the first place."""
        return self.parts[0] if self.parts and isinstance(self.parts[0], str) else ""

    @property
    def literal(self) -> str | None:
        """The word itself, where it has no place."""
        return None if self.names else self.begins

    def words(self, values: Values) -> tuple[str, ...]:
        """The one word; none where an argument in it has no value; those of an array. Raises Misfit."""
        if any(name not in values for name in self.names):
            return ()
        found = values[self.whole] if self.whole is not None else None
        if isinstance(found, tuple):
            for text in found:
                _check(text, self.names[0])
            return found
        text = self.text(values)
        if not self.begins and self.names:
            _check(text, self.names[0])
        return (text,)

    def text(self, values: Values) -> str:
        """All of it, its places filled. KeyError where an argument has no value."""
        return "".join(part if isinstance(part, str) else _one(values[part.name], part.name) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Group:
    """Words that are left out together, where an argument in them has no value. An empty array is none."""

    texts: tuple[Text, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for text in self.texts for name in text.names)

    def words(self, values: Values) -> tuple[str, ...]:
        """All of them, or none. Raises Misfit."""
        if any(values.get(name, ()) == () for name in self.names):
            return ()
        return tuple(word for text in self.texts for word in text.words(values))


@dataclass(frozen=True, slots=True)
class Choice:
    """Literals for each value of an argument, which itself does not get into the command line."""

    name: str
    literals: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def words(self, values: Values) -> tuple[str, ...]:
        """Those of the value; none for a value without any."""
        chosen = values.get(self.name)
        return self.literals.get(chosen, ()) if isinstance(chosen, str) else ()


Element: TypeAlias = Text | Group | Choice


def argv(elements: Sequence[Element], values: Values) -> tuple[str, ...]:
    """The words of a command line after the program. Raises Misfit."""
    return tuple(word for element in elements for word in element.words(values))


def each(elements: Sequence[Element]) -> Iterator[tuple[Text, bool]]:
    """Every word, and whether it is always there."""
    for element in elements:
        if isinstance(element, Choice):
            for words in element.literals.values():
                for word in words:
                    yield Text((word,)), False
        elif isinstance(element, Group):
            for text in element.texts:
                yield text, False
        else:
            yield element, True


def parsed(written: object) -> Element:
    """An element as a configuration has it. Raises ValueError with what would be right."""
    if isinstance(written, str):
        return text_of(written)
    if isinstance(written, list | tuple):
        if not all(isinstance(one, str) for one in written):
            raise ValueError("a list within it holds texts only")
        group = Group(tuple(text_of(one) for one in written))
        if not group.names:
            raise ValueError("a list within it is left out when its input has no value, and this one has no input")
        return group
    if isinstance(written, Mapping) and len(written) == 1:
        ((name, literals),) = written.items()
        if isinstance(literals, Mapping) and literals:
            return Choice(str(name), {str(value): tuple(_literals(words)) for value, words in literals.items()})
    raise ValueError("an element is text, a list, or one {INPUT: {VALUE: LITERAL}}")


def text_of(written: str) -> Text:
    """A text with its places. Raises ValueError with what would be right."""
    parts: list[str | Slot] = []
    literal, end = "", 0
    for piece in _PIECE.finditer(written):
        literal, end = literal + written[end : piece.start()], piece.end()
        if piece[4]:
            raise ValueError(
                f"a brace that is no place of an input is written twice: {{{{ or }}}}, in {written[:60]!r}"
            )
        if piece[1]:
            parts += [literal, Slot(piece[1])] if literal else [Slot(piece[1])]
            literal = ""
        else:
            literal += piece[0][0]
    literal += written[end:]
    return Text((*parts, literal) if literal or not parts else tuple(parts))


def holds_place(text: str) -> bool:
    """Whether a text looks as if a value should go into it."""
    return _PLACE.search(text) is not None


def _literals(words: object) -> Iterator[str]:
    for word in [words] if isinstance(words, str) else words if isinstance(words, list | tuple) else [None]:
        literal = text_of(word).literal if isinstance(word, str) else None
        if literal is None:
            raise ValueError("what a value is mapped to is literal text, or a list of such")
        yield literal


def _one(value: Value, name: str) -> str:
    if isinstance(value, tuple):
        raise Misfit(name, "a list fills only a whole word")
    return value


def _check(word: str, name: str) -> None:
    if word.startswith("-"):
        raise Misfit(name, "it begins with `-`, so that the program would take it for an option")
