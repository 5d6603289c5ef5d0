"""From the arguments of a call to the one request that it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from shim.model import Json, JsonObject
from shim.upstream.openapi import bodies, styles
from shim.upstream.openapi.mapping import BODY, Mapped
from shim.upstream.openapi.operations import Operation, Parameter, parts
from shim.upstream.openapi.styles import Misplaced

_SPARED = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


class Unfit(ValueError):
    """An argument that cannot be sent. `str()` names it and says why, without its value."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"`{name}` {why}")
        self.name = name
        self.why = why


@dataclass(frozen=True, slots=True)
class Request:
    """`path` below the base, `query` and `cookies` in pairs, all encoded; headers without credentials."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    cookies: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    content: bytes | None = field(default=None, repr=False)


def request(mapped: Mapped, arguments: JsonObject, slashes: frozenset[str], binary: frozenset[str]) -> Request:
    """The request of a call, whose arguments fit the schema. Raises Unfit.

    `slashes`: the parameters of the path that may hold `/`. `binary`: the members of a form that are in base64.
    """
    operation = mapped.operation
    given = {
        parameter.name: (argument, parameter, arguments[argument])
        for argument, parameter in mapped.places.items()
        if parameter.where == "path" and argument in arguments
    }
    path = _path(operation, given, slashes)
    query: list[tuple[str, str]] = []
    cookies: list[tuple[str, str]] = []
    headers: list[tuple[str, str]] = []
    for argument, parameter, value in _elsewhere(mapped, arguments):
        with _Named(argument):
            if parameter.required and styles.is_undefined(value):
                raise Misplaced("is required, and an empty value is left out")
            match parameter.where:
                case "query":
                    query += _alone(parameter, styles.in_query(parameter, value), mapped, query)
                case "cookie":
                    cookies += _alone(parameter, styles.in_cookie(parameter, value), mapped, cookies)
                case _:
                    if (text := styles.in_header(parameter, value)) is not None:
                        headers.append((parameter.name.lower(), text))
    content: bytes | None = None
    if operation.body is not None and BODY in arguments:
        with _Named(BODY):
            media, content = bodies.written(operation.body, binary, arguments[BODY])
        headers.append(("content-type", media))
    elif operation.method not in _SPARED:
        content = b""
    return Request(operation.method, path, tuple(query), tuple(cookies), tuple(headers), content)


class _Named:
    """Says of which argument something is said."""

    def __init__(self, argument: str) -> None:
        self._argument = argument

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Misplaced):
            raise Unfit(self._argument, str(error)) from None


def _elsewhere(mapped: Mapped, arguments: JsonObject) -> Iterator[tuple[str, Parameter, Json]]:
    for argument, parameter in mapped.places.items():
        if parameter.where != "path" and argument in arguments:
            yield argument, parameter, arguments[argument]


def unplaced(mapped: Mapped, argument: str, value: Json, slashes: frozenset[str], binary: frozenset[str]) -> str | None:
    """Why an argument cannot have a value that fits its schema, whatever else is in the call."""
    others = {name: "x" for name, parameter in mapped.places.items() if parameter.where == "path"}
    try:
        request(mapped, {**others, argument: value}, slashes, binary)
    except Unfit as error:
        return f"it {error.why}"
    return None


def _path(operation: Operation, given: Mapping[str, tuple[str, Parameter, Json]], slashes: frozenset[str]) -> str:
    pieces = parts(operation.path)
    last = ""
    for position in range(1, len(pieces), 2):
        name = pieces[position]
        if name not in given:
            raise Unfit(name, "is missing, and stands in the path")
        argument, parameter, value = given[name]
        others = frozenset(given) - {name}
        with _Named(argument):
            pieces[position] = styles.in_path(parameter, value, slashes=name in slashes, others=others)
            if not pieces[position]:
                raise Misplaced("is empty, and stands in the path, where something has to be")
        last = argument
    path = "".join(pieces)
    if len(pieces) > 1:
        with _Named(last):
            styles.check_path(path)
    return path


def _alone(
    parameter: Parameter, pairs: list[tuple[str, str]], mapped: Mapped, before: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The pairs, if none of them could be taken for another parameter of the operation, or for a credential."""
    own = quote(parameter.name, safe="")
    others = {
        quote(one.name, safe="")
        for one in mapped.operation.parameters
        if one.where == parameter.where and one.name != parameter.name
    } | {name for name, _ in before}
    kept_out = {quote(name, safe="").lower() for where, name in mapped.kept_out if where == parameter.where}
    for name, _ in pairs:
        bare = name.split("%5B")[0]
        # Credentials in whatever case: a service may not look at that.
        if name != own and (name in others or bare in others or {name.lower(), bare.lower()} & kept_out):
            raise Misplaced("holds a key that would be another parameter")
    return pairs
