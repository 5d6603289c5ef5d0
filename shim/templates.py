"""Texts with places that a secret's value goes into, as `${secret:NAME}` leaves them once a configuration is read.

A place is its reference between two NUL characters. Neither a file nor an environment variable can hold a NUL, so
nothing but a placeholder that was written in the configuration is ever taken for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shim.model import Json

MARK = "\0"

NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
"""A secret's name, as a regular expression. No dot: what comes after one is a field."""

FIELD = r"[^{}\s\x00]{1,128}"
"""A field's name, as a regular expression."""


def place(reference: str) -> str:
    """The text of a place. `reference` is `NAME`, or `NAME.FIELD`."""
    return f"{MARK}{reference}{MARK}"


def references(text: str) -> tuple[str, ...]:
    """The references of a text, in order; none for ordinary text."""
    return tuple(text.split(MARK)[1::2]) if MARK in text else ()


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with each place filled once: what a value holds is not looked at. KeyError where one is missing."""
    parts = text.split(MARK)
    parts[1::2] = [values[reference] for reference in parts[1::2]]
    return "".join(parts)


def references_within(value: Json) -> Iterator[str]:
    """The references of all texts within a JSON value, in order. Keys of objects are no texts that are filled."""
    if isinstance(value, str):
        yield from references(value)
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from references_within(one)


def filled_within(value: Json, values: Mapping[str, str]) -> Json:
    """A JSON value with every text in it as `filled` makes it; its keys stay. KeyError where a value is missing."""
    if isinstance(value, str):
        return filled(value, values)
    if isinstance(value, list):
        return [filled_within(one, values) for one in value]
    if isinstance(value, Mapping):
        return {key: filled_within(one, values) for key, one in value.items()}
    return value


def name_of(reference: str) -> str:
    """The name of the secret that a reference means: what stands before its first dot."""
    return reference.partition(".")[0]


def field_of(reference: str) -> str | None:
    """The field that a reference asks for; None where it asks for none."""
    return reference.partition(".")[2] or None
