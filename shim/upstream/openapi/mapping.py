"""An operation as a tool: its definition, and which argument goes where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from shim.model import Json, JsonObject
from shim.upstream.arguments import NoSchema, compiled
from shim.upstream.definitions import defined
from shim.upstream.openapi.document import Broken
from shim.upstream.openapi.operations import Body, Operation, Parameter
from shim.upstream.openapi.schemas import Schemas, is_binary

BODY: Final = "body"
"""The argument that is the body of a request."""
_ARGUMENT: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST: Final = 1500
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Mapped:
    """A tool: how it is defined, and where its arguments go. `taken` are those that the operator fixed, `kept_out` the
    places that are the credentials'."""

    name: str
    definition: JsonObject
    operation: Operation
    places: Mapping[str, Parameter]
    taken: frozenset[str]
    kept_out: frozenset[tuple[str, str]]

    @property
    def is_safe(self) -> bool:
        """Whether its method promises to change nothing (RFC 9110, 9.2.1)."""
        return self.operation.method in _SAFE


@dataclass(frozen=True, slots=True)
class Around:
    """What all tools of one upstream share. `taken` and `kept_out`: the arguments that the operator fixed, and the
    places that are the credentials', as (where, name in lower case)."""

    schemas: Schemas
    base: str
    fixed: Collection[str]
    kept_out: frozenset[tuple[str, str]]


def mapped(name: str, operation: Operation, around: Around) -> Mapped:
    """The tool of an operation. Raises Broken, and Outside."""
    places = _placed([one for one in operation.parameters if not _is_kept_out(one, around.kept_out)])
    body = operation.body
    taken = frozenset(one for one in (*places, *([BODY] if body else ())) if one in around.fixed)
    used: set[str] = set()
    properties: JsonObject = {}
    required: list[str] = []
    for argument, parameter in places.items():
        if argument not in taken:
            schema = around.schemas.converted(parameter.schema, used)
            properties[argument] = _described(schema, parameter.description)
            required += [argument] if parameter.required else []
    if body is not None and BODY not in taken:
        properties[BODY] = _described(_body_schema(body, around.schemas, used), body.description)
        required += [BODY] if body.required else []
    root: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        root["required"] = required
    if definitions := around.schemas.definitions(used):
        root["$defs"] = definitions
    try:
        compiled(root)
    except NoSchema as error:
        raise Broken(f"its schemas cannot be used: {error}") from None
    definition = {"name": name, **_words(operation), "inputSchema": root, "annotations": _hints(operation.method)}
    hidden = _hidden(operation, places, around)
    return Mapped(name, defined(definition, hidden), operation, places, taken, around.kept_out)


def _is_kept_out(parameter: Parameter, kept_out: frozenset[tuple[str, str]]) -> bool:
    return (parameter.where, parameter.name.lower()) in kept_out


def _placed(parameters: list[Parameter]) -> Mapping[str, Parameter]:
    """The parameters by the names of their arguments: with their place where two would be the same."""
    wanted = [_argument(one.name) for one in parameters]
    shared = Counter([BODY, *wanted])
    placed: dict[str, Parameter] = {}
    for name, parameter in zip(wanted, parameters, strict=True):
        argument = f"{name[:56]}_{parameter.where}" if shared[name] > 1 else name
        if argument in placed or argument == BODY:
            raise Broken(f"two of its parameters would be the argument {argument}")
        placed[argument] = parameter
    return placed


def _argument(name: str) -> str:
    if _ARGUMENT.fullmatch(name):
        return name
    return _ILLEGAL.sub("_", name).strip("_")[:64] or "value"


def _described(schema: Json, text: str | None) -> Json:
    if text is None or not isinstance(schema, dict):
        return schema
    return {**schema, "description": text[:_LONGEST]}


def _body_schema(body: Body, schemas: Schemas, used: set[str]) -> Json:
    bare = body.media.partition(";")[0].strip().lower()
    if bare == "application/json" or bare.endswith("+json"):
        return schemas.converted(body.schema, used)
    if bare in ("application/x-www-form-urlencoded", "multipart/form-data"):
        schema = schemas.converted(body.schema, used)
        return schema if schema not in ({}, True) else {"type": "object"}
    if is_text(bare):
        return {"type": "string", "description": f"The text of the body, of the type {bare}."}
    return {
        "type": "string",
        "contentEncoding": "base64",
        "description": f"The bytes of the body in base64, of the type {bare}.",
    }


def is_text(media: str) -> bool:
    """Whether a media type, in lower case and without parameters, is text."""
    return media.startswith("text/") or media.endswith(("+xml", "/xml", "+yaml", "/yaml", "/x-yaml", "/graphql"))


def _words(operation: Operation) -> JsonObject:
    said = [one for one in (operation.title, operation.description) if one]
    text = "\n\n".join(dict.fromkeys(said)) or operation.spot
    if operation.deprecated:
        text = f"Deprecated. {text}"
    words: JsonObject = {"description": text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"}
    return {"title": operation.title[:200], **words} if operation.title else words


def _hints(method: str) -> JsonObject:
    if method in _SAFE:
        return {"readOnlyHint": True}
    if method in ("PUT", "DELETE"):
        return {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True}
    return {"readOnlyHint": False, "idempotentHint": False}


def _hidden(operation: Operation, places: Mapping[str, Parameter], around: Around) -> Json:
    schemes = around.schemas.document.root.get("components")
    known = schemes.get("securitySchemes") if isinstance(schemes, dict) else None
    return {
        "base": around.base,
        "method": operation.method,
        "path": operation.path,
        "places": [[argument, *_place(one)] for argument, one in places.items()],
        "body": [operation.body.media, dict(operation.body.encoding)] if operation.body else None,
        "security": {name: known.get(name) if isinstance(known, dict) else None for name in operation.security},
    }


def _place(parameter: Parameter) -> Iterator[Json]:
    yield from (parameter.where, parameter.name, parameter.style, parameter.explode)
    yield from (parameter.reserved, parameter.media)


def binary_members(body: Body, schemas: Schemas) -> frozenset[str]:
    """Which members of a form are bytes, or lists of them: as arguments they are in base64."""
    found: set[str] = set()
    waiting, seen = [body.schema], set[str]()
    while waiting:
        schema = waiting.pop()
        if not isinstance(schema, dict):
            continue
        reference = schema.get("$ref")
        if isinstance(reference, str):
            # A schema may be a part of itself.
            if reference in seen:
                continue
            seen.add(reference)
        resolved = schemas.document.resolved(schema)
        properties = resolved.get("properties")
        found |= {
            name
            for name, one in (properties.items() if isinstance(properties, dict) else ())
            if _is_bytes(one, schemas)
        }
        for key in ("allOf", "anyOf", "oneOf"):
            waiting += resolved[key] if isinstance(resolved.get(key), list) else []
    return frozenset(found)


def _is_bytes(schema: Json, schemas: Schemas) -> bool:
    if not isinstance(schema, dict):
        return False
    resolved = schemas.document.resolved(schema)
    if resolved.get("type") == "array" and isinstance(resolved.get("items"), dict):
        resolved = schemas.document.resolved(resolved["items"])
    return is_binary(resolved)
