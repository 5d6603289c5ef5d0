"""Functions as tools: what each is called, what is said of it, and one call of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import docstring_parser

from . import hints
from .finding import Found, Unusable, find
from .giving import Giving
from .taking import Taking

SOURCE = "io.github.mcp-shim/source"
"""The member of a definition's `_meta` that says which code it stands for. The shim takes it out."""


class Function:
    """One function that is served. Raises Unusable."""

    def __init__(self, found: Found, injected: frozenset[str]) -> None:
        function, entry = found.function, found.entry
        if inspect.isasyncgenfunction(function):
            raise Unusable(f"{entry} is an asynchronous generator; write a function that returns a list")
        said = _Said(function)
        meant = hints.of(function)
        self.name = found.name
        self.call: Callable[..., Any] = function
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
        self.taking = Taking(entry, function, meant, said.parameters, injected)
        self.giving = Giving(entry, found.name, meant, said.result)
        self.source = f"{entry} {found.source()}"
        self.definition: dict[str, Any] = {"name": found.name}
        if said.description:
            self.definition["description"] = said.description
        self.definition["inputSchema"] = self.taking.schema
        if self.giving.schema is not None:
            self.definition["outputSchema"] = self.giving.schema
        self.definition["_meta"] = {SOURCE: self.source}


class _Said:
    """What a docstring says, whichever of the usual styles it has."""

    def __init__(self, function: Callable[..., Any]) -> None:
        text = inspect.getdoc(function) or ""
        self.description = text
        self.parameters: dict[str, str] = {}
        self.result: str | None = None
        try:
            parsed = docstring_parser.parse(text)
        except docstring_parser.ParseError:
            return
        self.description = "\n\n".join(part for part in (parsed.short_description, parsed.long_description) if part)
        self.parameters = {one.arg_name: one.description for one in parsed.params if one.description}
        self.result = parsed.returns.description if parsed.returns is not None else None


def load(entries: Iterable[str], injected: frozenset[str]) -> tuple[dict[str, Function], list[str]]:
    """The functions by name, and what had to be left out of those that `*` names.

    Raises Unusable: all that is wrong.
    """
    wrong: list[str] = []
    left: list[str] = []
    functions: dict[str, Function] = {}
    for found in find(entries, wrong):
        try:
            functions[found.name] = Function(found, injected)
        except Unusable as error:
            (left if found.by_star else wrong).append(str(error))
    if not wrong:
        filled = frozenset().union(*(one.taking.injected for one in functions.values()))
        wrong += [f"`inject`: no function has a parameter {name}" for name in sorted(injected - filled)]
        if not functions:
            wrong += [*left, "there is no function to serve"]
    if wrong:
        raise Unusable("; ".join(wrong))
    return functions, left
