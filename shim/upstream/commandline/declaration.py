"""One tool of a program, as it is declared: its words, what they take, and that the two belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shim import jsontext
from shim.model import Json, JsonObject
from shim.units import Faults
from shim.upstream.commandline import template
from shim.upstream.commandline.inputs import Input, declared
from shim.upstream.commandline.template import Choice, Element, Group, Misfit, Text, Value

_LONGEST_WORD: Final = 128 * 1024 - 1
_LONGEST: Final = 512 * 1024
"""Bytes: what every system takes as one word, and as all of them."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What one call starts a program with. `files` are the contents of private files, by their names."""

    words: tuple[str, ...]
    stdin: bytes
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Declaration:
    """`stdin` is a text with places, or the name of the input that is written there as JSON."""

    elements: tuple[Element, ...]
    stdin: Text | str | None
    inputs: Mapping[str, Input]

    @property
    def schema(self) -> JsonObject:
        """The tool's input schema."""
        return {
            "type": "object",
            "properties": {name: one.schema for name, one in self.inputs.items()},
            "required": [name for name, one in self.inputs.items() if not one.is_optional and not one.has_default],
            "additionalProperties": False,
        }

    @property
    def shown(self) -> frozenset[str]:
        """The inputs whose values stand in the command line, where everyone who lists processes sees them."""
        names = {name for one in self.elements if not isinstance(one, Choice) for name in one.names}
        return frozenset(name for name in names if not self.inputs[name].as_file)

    def fill(self, before: Sequence[str], arguments: JsonObject, folder: str) -> Filled:
        """The whole of a call, of arguments that fit the schema: those that are left out have their defaults.

        `before` comes before the tool's own words; private files will be in `folder`. Raises Misfit.
        """
        values: dict[str, Value] = {}
        files: dict[str, bytes] = {}
        stdin = b""
        for name, one in self.inputs.items():
            if name not in arguments and not one.has_default:
                continue
            given: Json = arguments[name] if name in arguments else one.schema["default"]
            if one.as_file:
                file = f"_{name}" if name.strip(".") == "" else name
                files[file], values[name] = one.content(given), f"{folder}/{file}"
            elif self.stdin == name:
                stdin = jsontext.dump(given)
            else:
                values[name] = one.value(given)
        if isinstance(self.stdin, Text) and all(name in values for name in self.stdin.names):
            stdin = self.stdin.text(values).encode()
        words = template.argv(self.elements, values)
        _check_length([*before, *words], next(iter(self.inputs), ""))
        return Filled((*before, *words), stdin, files)

    def unplaced(self, before: Sequence[str], name: str, value: Json) -> str | None:
        """Why an argument cannot have a value that fits its schema, whatever else is in the call."""
        try:
            self.fill(before, {name: value}, "/private")
        except Misfit as error:
            return str(error) if error.name == name else None
        return None

    def unplaced_default(self, before: Sequence[str]) -> tuple[str, str] | None:
        """An input whose default no call could have, and why."""
        try:
            self.fill(before, {}, "/private")
        except Misfit as error:
            return error.name, f"its default cannot be used: {error}"
        return None


def declaration(run: Sequence[object], stdin: object, inputs: Mapping[str, object]) -> Declaration:
    """Raises ValueError, which begins with the key that is wrong: what is, and what would be right. Faults, where it is
    known which inputs and which elements those are.
    """
    taken: dict[str, Input] = {}
    elements: list[Element] = []
    wrong: list[tuple[tuple[str | int, ...], str]] = []
    for name, written in inputs.items():
        try:
            taken[name] = declared(name, written)
        except ValueError as error:
            wrong.append((("input", name), f"`input`: {error}"))
    for position, one in enumerate(run):
        try:
            elements.append(template.parsed(one))
        except ValueError as error:
            wrong.append((("run", position), f"`run`: {error}"))
    _raise(wrong)
    for position, element in enumerate(elements):
        try:
            _check(element, taken)
        except ValueError as error:
            wrong.append((("run", position), str(error)))
    _raise(wrong)
    if not _begins_sure(elements, taken):
        raise ValueError("`run`: its first word begins with text of yours, because it may choose what the program does")
    fed = _fed(stdin, taken)
    used = {name for element in elements for name in element.names}
    used |= {fed} if isinstance(fed, str) else set(fed.names) if fed is not None else set()
    unused = [name for name in taken if name not in used]
    _raise(
        [
            (("input", name), f"`input`: {name} is used nowhere; write {{{name}}} into `run` or `stdin`")
            for name in unused
        ]
    )
    if isinstance(fed, str) and taken[fed].as_file:
        raise ValueError(f"`stdin`: {fed} is a file already; leave `as: file` out")
    if isinstance(fed, str) and any(fed in element.names for element in elements):
        raise ValueError(f"`stdin`: {fed} goes there whole, and cannot stand in `run` as well")
    return Declaration(tuple(elements), fed, taken)


def _raise(found: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
    if found:
        raise Faults(found)


def _begins_sure(elements: Sequence[Element], taken: Mapping[str, Input]) -> bool:
    """Whether the first word, which is often a command, is never a call's to choose: also where a choice adds none."""
    for element in elements:
        if isinstance(element, Text):
            return not element.names or element.begins.startswith("-")
        if isinstance(element, Group):
            return False
        chosen, one = {value for value, words in element.literals.items() if words}, taken[element.name]
        if not one.may_lack and one.choices is not None and one.choices <= chosen:
            return True
    return True


def _check(element: Element, taken: Mapping[str, Input]) -> None:
    for name in element.names:
        if name not in taken:
            hint = "; a brace that is none is written twice" if len(name) < 20 else ""
            raise ValueError(f"`run`: there is no input {name}; declare it in `input`{hint}")
    if isinstance(element, Choice):
        one = taken[element.name]
        choices = one.choices if one.shape == "text" and not one.as_file else None
        if choices is None:
            raise ValueError(f"`run`: {element.name} is neither a boolean nor an enum, so that it cannot choose words")
        if strange := sorted(element.literals.keys() - choices):
            raise ValueError(f"`run`: {strange[0]!r} is no value of {element.name}")
        return
    for text in element.texts if isinstance(element, Group) else (element,):
        _check_word(text, taken)
    if isinstance(element, Text):
        for name in element.names:
            if taken[name].may_lack and taken[name].shape != "array":
                raise ValueError(f"`run`: {name} may have no value; put what goes with it into a list of its own")


def _check_word(text: Text, taken: Mapping[str, Input]) -> None:
    for name in text.names:
        one = taken[name]
        if one.shape == "json" and not one.as_file:
            raise ValueError(f"`run`: {name} is no text; hand it over with `as: file`, or `stdin: {{json: ...}}`")
        if one.shape == "array" and not one.as_file and text.whole is None:
            raise ValueError(f"`run`: {name} is a list, which fills only a whole word; write {{{name}}} alone")
    begins = text.begins
    if not begins.startswith("-") or not text.names or "=" in begins:
        return
    # `-U{n}`: digits cannot be options of their own, as letters could.
    if len(begins) == 2 and begins != "--" and all(taken[name].is_small for name in text.names):
        return
    raise ValueError(
        f"`run`: in {begins}{{{text.names[0]}}} the value would be a part of the option's name; write "
        f"{begins}={{{text.names[0]}}}, or two words"
    )


def _fed(stdin: object, taken: Mapping[str, Input]) -> Text | str | None:
    if stdin is None:
        return None
    is_json = isinstance(stdin, Mapping)
    written = stdin.get("json") if isinstance(stdin, Mapping) and len(stdin) == 1 else stdin
    if not isinstance(written, str):
        raise ValueError('`stdin`: write a text with places, or {json: "{INPUT}"}')  # noqa: TRY004 (pydantic's way)
    try:
        text = template.text_of(written)
    except ValueError as error:
        raise ValueError(f"`stdin`: {error}") from None
    for name in text.names:
        if name not in taken:
            raise ValueError(f"`stdin`: there is no input {name}; declare it in `input`")
        if not is_json and (taken[name].shape != "text" or taken[name].as_file):
            raise ValueError(f'`stdin`: {name} is no text; write {{json: "{{{name}}}"}}')
        if not is_json and taken[name].may_lack and len(text.parts) > 1:
            raise ValueError(f"`stdin`: {name} may have no value; give it a default, or write it alone")
    if not is_json:
        return text
    if text.whole is None:
        raise ValueError('`stdin`: json takes one input; write {json: "{INPUT}"}')
    return text.whole


def _check_length(words: Sequence[str], name: str) -> None:
    lengths = [len(word.encode()) for word in words]
    if max(lengths, default=0) > _LONGEST_WORD or sum(lengths) > _LONGEST:
        raise Misfit(name, "with it the command line is longer than systems take")
