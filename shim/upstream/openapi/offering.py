"""What of a document an upstream offers: the operations that were chosen, as tools."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from shim import jsontext, templates
from shim.model import Json, JsonObject
from shim.upstream.arguments import NoSchema, compiled
from shim.upstream.definitions import CATALOG_LIMIT
from shim.upstream.openapi import requests
from shim.upstream.openapi.choosing import chosen, named
from shim.upstream.openapi.config import OpenApiBlock
from shim.upstream.openapi.credentials import Credentials, credentials
from shim.upstream.openapi.document import Broken, Document, Unsuited
from shim.upstream.openapi.mapping import Around, Mapped, binary_members, mapped
from shim.upstream.openapi.operations import Heading, headings, operation
from shim.upstream.openapi.requests import Request, Unfit
from shim.upstream.openapi.schemas import Schemas

_log = logging.getLogger("shim.upstream")

PUT_IN = "What whoever runs this server puts into calls of the tool is unfit."
"""Of arguments that callers neither see nor send."""
_PATIENCE: Final = 10.0
"""Seconds of computing for one document; the largest that are known take a few tenths."""


@dataclass(frozen=True, slots=True)
class Offering:
    """`left_out`: broken operations, where they are and why. `idle`: positions of selectors that fit nothing."""

    tools: Mapping[str, Mapped]
    left_out: tuple[tuple[str, str], ...]
    idle: tuple[int, ...]
    credentials: Credentials
    fixed: Mapping[str, Json]
    slashes: frozenset[str]
    binary: Mapping[str, frozenset[str]]

    def request(self, name: str, arguments: JsonObject, fixed: Mapping[str, Json]) -> Request:
        """The request of a call. `fixed`: what the operator fixed, with the secrets in it. Raises Unfit."""
        tool = self.tools[name]
        own = {argument: value for argument, value in fixed.items() if argument in tool.taken}
        return requests.request(tool, {**arguments, **own}, self.slashes, self.binary.get(name, frozenset()))

    def misfit(self, name: str, arguments: JsonObject, more: Mapping[str, Json] | None = None) -> str | None:
        """Why these arguments, which fit the schema, cannot be sent; None where they can.

        `more` is put in beside them, as `fixed` is, and may hold secrets: what those will be does not decide it.
        """
        if name not in self.tools:
            return None
        try:
            self.request(name, {**arguments, **_plain(more or {})}, _plain(self.fixed))
        except Unfit as error:
            if error.name in {**self.fixed, **(more or {})}:
                _log.error("a call of %s was not made: the argument %s", name, error)
                return PUT_IN
            return f"These arguments cannot be sent: {error}."
        return None

    def unplaced(self, name: str, argument: str, value: Json) -> str | None:
        """Why an argument of a tool cannot have a value that fits its schema, whatever else is in the call."""
        if (tool := self.tools.get(name)) is None:
            return None
        return requests.unplaced(tool, argument, value, self.slashes, self.binary.get(name, frozenset()))


def offering(document: Document, block: OpenApiBlock) -> Offering:
    """What a document and a configuration make. Raises Unreadable, and Unsuited, with what would be right."""
    found: list[Heading] = []
    left_out: list[tuple[str, str]] = []
    until = time.thread_time() + _PATIENCE
    for one in headings(document):
        _check_time(until)
        if isinstance(one, Heading):
            found.append(one)
        else:
            left_out.append(one)
    names = named(found)
    kept, idle = chosen(block.operations, found, names)
    if not kept:
        raise Unsuited(_nothing(found), "operations")
    twice = [name for name, count in Counter(names[one.spot] for one in kept).items() if count > 1]
    if twice:
        spots = " and ".join(one.spot for one in kept if names[one.spot] == twice[0])
        raise Unsuited(f"two operations would be the tool {twice[0]}: {spots}; take one away", "operations")
    proofs = credentials(block.auth, document)
    schemas = Schemas(document)
    around = Around(schemas, (block.base or "").rstrip("/"), block.fixed.keys(), proofs.places)
    tools: dict[str, Mapped] = {}
    size = 0
    binary: dict[str, frozenset[str]] = {}
    for heading in kept:
        _check_time(until)
        name = names[heading.spot]
        try:
            tool = mapped(name, operation(document, heading), around)
            if tool.operation.body is not None and (members := binary_members(tool.operation.body, schemas)):
                binary[name] = members
            tools[name] = tool
            # Many operations may share schemas that are large: the sum is what counts.
            size += len(jsontext.dump(tool.definition))
            if size > CATALOG_LIMIT * 3 // 4:
                raise Unsuited(f"the definitions of its tools have more than {size} bytes; choose fewer", "operations")
        except Broken as error:
            left_out.append((heading.spot, str(error)))
    if not tools:
        spot, why = left_out[-1]
        raise Unsuited(f"every operation that is chosen is broken; {spot}: {why}", "operations")
    _check_slashes(block.slashes, tools.values())
    made = Offering(tools, tuple(left_out), tuple(idle), proofs, block.fixed, frozenset(block.slashes), binary)
    _check_fixed(made, schemas)
    return made


def _check_time(until: float) -> None:
    # Much may be shared by many operations and none of it end up in a definition, as where each is broken.
    if time.thread_time() > until:
        raise Unsuited(
            "its operations take too long to be read; cut the document to those that are needed", "operations"
        )


def _nothing(found: list[Heading]) -> str:
    tags = ", ".join(dict.fromkeys(tag for one in found for tag in one.tags)) or "none"
    first = ", ".join(one.spot for one in found[:5]) or "none"
    return f"no operation is chosen; the document has {len(found)}, such as {first[:300]}, and the tags {tags[:300]}"


def _check_slashes(slashes: Iterable[str], tools: Iterable[Mapped]) -> None:
    known = {one.name for tool in tools for one in tool.operation.parameters if one.where == "path"}
    for position, name in enumerate(slashes):
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise Unsuited(f"no path has a parameter {name!r}; there are {there[:300]}", "slashes", position)


def _check_fixed(made: Offering, schemas: Schemas) -> None:
    for argument, value in made.fixed.items():
        users = [tool for tool in made.tools.values() if argument in tool.taken]
        if not users:
            raise Unsuited(f"no operation has an argument {argument!r}; take it out", "fixed", argument)
        if next(templates.references_within(value), None) is not None:
            continue
        for tool in users:
            parameter = tool.places.get(argument)
            body = tool.operation.body
            said = parameter.schema if parameter is not None else body.schema if body is not None else {}
            used: set[str] = set()
            try:
                schema: JsonObject = {"allOf": [schemas.converted(said, used)], "$defs": schemas.definitions(used)}
                judge = compiled(schema)
            except (Broken, NoSchema) as error:
                told = f"what is fixed as {argument!r} cannot be judged by {tool.operation.spot}: {error}"
                raise Unsuited(told, "fixed", argument) from None
            if not judge.is_valid(value):
                raise Unsuited(f"what is fixed as {argument!r} does not fit {tool.operation.spot}", "fixed", argument)
        for tool in users:
            if (why := made.unplaced(tool.name, argument, value)) is not None:
                raise Unsuited(f"what is fixed as {argument!r} cannot be sent: {why}", "fixed", argument)


def filled(fixed: Mapping[str, Json], values: Mapping[str, str]) -> Mapping[str, Json]:
    """What the operator fixed, with the secrets in it. KeyError where one is missing."""
    return {name: templates.filled_within(value, values) for name, value in fixed.items()}


def _plain(values: Mapping[str, Json]) -> Mapping[str, Json]:
    return filled(values, _StandIn())


class _StandIn(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "x"
