"""The operations of a document: what each is called, what it takes and where that goes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from shim.model import Json, JsonObject
from shim.upstream.openapi.document import Broken, Document

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
Where: TypeAlias = Literal["path", "query", "header", "cookie"]
Style: TypeAlias = Literal["simple", "label", "matrix", "form", "spaceDelimited", "pipeDelimited", "deepObject"]

_STYLES: Final[Mapping[str, tuple[str, ...]]] = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
_LONGEST: Final = 1000
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_COOKIE: Final = re.compile(r"[A-Za-z0-9!#$&'*+.^_`|~-]+")
_MEDIA: Final = re.compile(r"[A-Za-z0-9!#$&^_.+*-]+/[A-Za-z0-9!#$&^_.+*-]+(?:;[\x20-\x7e]*)?")
_PLACE: Final = re.compile(r"\{([^{}/]+)\}")
_HOP: Final = frozenset(
    {"accept", "authorization", "content-type", "accept-encoding", "connection", "content-length", "cookie", "expect"}
    | {"host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "forwarded", "via", "proxy-authorization"}
    | {"proxy-connection", "x-real-ip", "user-agent"}
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """`media`: its value is of that media type, as one text; None: it is written in its style."""

    name: str
    where: Where
    required: bool
    style: Style
    explode: bool
    reserved: bool
    schema: Json
    media: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class Body:
    """The body of requests: of one media type, the one of those offered that says most with JSON."""

    media: str
    schema: Json
    encoding: Mapping[str, JsonObject]
    required: bool
    description: str | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one path. `security`: the names of schemes that it may ask for."""

    method: str
    path: str
    title: str | None
    description: str | None
    parameters: tuple[Parameter, ...]
    body: Body | None
    security: tuple[str, ...]
    deprecated: bool

    @property
    def spot(self) -> str:
        """How people name it: method and path."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Heading:
    """An operation before its parts are looked at: enough to choose it and to name it."""

    method: str
    path: str
    id: str | None
    tags: tuple[str, ...]
    item: JsonObject
    said: JsonObject

    @property
    def spot(self) -> str:
        return f"{self.method} {self.path}"


def headings(document: Document) -> Iterator[Heading | tuple[str, str]]:
    """Every operation; for those that are none, where they are and why."""
    for path, item in document.root["paths"].items():
        if path.startswith("x-"):
            continue
        try:
            resolved = document.resolved(item)
            if isinstance(item, dict) and "$ref" in item:
                resolved = {**resolved, **{key: value for key, value in item.items() if key != "$ref"}}
            _check_path(path)
        except Broken as error:
            yield path, str(error)
            continue
        for method in METHODS:
            said = resolved.get(method)
            if said is None:
                continue
            if not isinstance(said, dict):
                yield f"{method.upper()} {path}", "it is no object"
                continue
            id_, tags = said.get("operationId"), said.get("tags")
            yield Heading(
                method.upper(),
                path,
                id_ if isinstance(id_, str) and 0 < len(id_) <= _LONGEST else None,
                tuple(tag for tag in tags if isinstance(tag, str) and len(tag) <= _LONGEST)
                if isinstance(tags, list)
                else (),
                resolved,
                said,
            )


def operation(document: Document, heading: Heading) -> Operation:
    """All of an operation. Raises Broken, and Outside."""
    said = heading.said
    parameters = tuple(_parameters(document, heading))
    return Operation(
        heading.method,
        heading.path,
        _text(said.get("summary")) or _text(heading.item.get("summary")),
        _text(said.get("description")) or _text(heading.item.get("description")),
        parameters,
        _body(document, said.get("requestBody")),
        _security(said.get("security", document.root.get("security"))),
        said.get("deprecated") is True,
    )


def places(path: str) -> list[str]:
    """The names of the parameters of a path, in order."""
    return _PLACE.findall(path)


def parts(path: str) -> list[str]:
    """A path in pieces: text and names of parameters in turn, text first."""
    return _PLACE.split(path)


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise Broken("its path does not begin with a slash")
    if len(path) > _LONGEST:
        raise Broken(f"its path is longer than {_LONGEST} characters")
    bare = _PLACE.sub("x", path)
    if any(segment.lower().replace("%2e", ".") in (".", "..") for segment in bare.split("/")):
        raise Broken("its path has dot segments")
    if not re.fullmatch(r"[\x21-\x7e]*", bare) or any(one in bare for one in '\\{}?#<>"^`|'):
        raise Broken("its path has characters that a path cannot have")


def _parameters(document: Document, heading: Heading) -> Iterator[Parameter]:
    found: dict[tuple[str, str], Parameter] = {}
    for holder in (heading.item, heading.said):
        held = holder.get("parameters") or []
        if not isinstance(held, list):
            raise Broken("its parameters are no list")
        for one in held:
            parameter = _parameter(document.resolved(one))
            if parameter is not None:
                # Two headers whose names differ in their case are one: a caller could send what is fixed once more.
                name = parameter.name.lower() if parameter.where == "header" else parameter.name
                found[parameter.where, name] = parameter
    wanted = places(heading.path)
    for name in wanted:
        if ("path", name) not in found:
            # Real documents leave them out; the path alone says that it is there, and it is a text.
            found["path", name] = Parameter(name, "path", True, "simple", False, False, {"type": "string"}, None, None)
    if len(set(wanted)) != len(wanted):
        raise Broken("its path names a parameter twice")
    for (where, name), parameter in found.items():
        if where != "path" or name in wanted:
            yield parameter


def _parameter(said: JsonObject) -> Parameter | None:
    name, where = said.get("name"), said.get("in")
    if not isinstance(name, str) or not name or not isinstance(where, str) or where not in _STYLES:
        raise Broken("a parameter has no name, or no place that is one")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise Broken("a parameter has a name that is no text")
    required = said.get("required") is True or where == "path"
    if where == "header" and (name.lower() in _HOP or name.lower().startswith(("x-forwarded-", "sec-", "proxy-"))):
        # The specification has some of them ignored; the others are not for a caller to choose.
        if required and name.lower() not in ("accept", "authorization", "content-type"):
            raise Broken(f"it needs the header {name}, which is not for a caller to set")
        return None
    if (where == "header" and not _TOKEN.fullmatch(name)) or (where == "cookie" and not _COOKIE.fullmatch(name)):
        raise Broken(f"its parameter {name[:60]!r} is no name of a {where}")
    style = said.get("style", _STYLES[where][0])
    schema, media = said.get("schema", {}), None
    content = said.get("content")
    if isinstance(content, dict) and content:
        media, held = next(iter(content.items()))
        schema = held.get("schema", {}) if isinstance(held, dict) else {}
        if not _is_json(media) and not media.startswith("text/"):
            raise Broken(f"its parameter {name[:60]!r} is of the media type {media[:60]}, which is not written here")
    elif style not in _STYLES[where]:
        raise Broken(f"its parameter {name[:60]!r} has the style {str(style)[:40]!r}, which is none of a {where}")
    explode = said.get("explode")
    return Parameter(
        name,
        cast(Where, where),
        required,
        cast(Style, style),
        explode if isinstance(explode, bool) else style == "form",
        said.get("allowReserved") is True and where == "query",
        schema if isinstance(schema, dict | bool) else {},
        media,
        _text(said.get("description")),
    )


def _body(document: Document, said: Json) -> Body | None:
    if said is None:
        return None
    said = document.resolved(said)
    content = said.get("content")
    offered = {
        media: held
        for media, held in (content.items() if isinstance(content, dict) else ())
        if isinstance(held, dict) and _MEDIA.fullmatch(media)
    }
    if not offered:
        return None
    media = min(offered, key=_rank)
    held = document.resolved(offered[media])
    schema, encoding = held.get("schema", {}), held.get("encoding")
    said_of = {
        name: document.resolved(one)
        for name, one in (encoding.items() if isinstance(encoding, dict) else ())
        if isinstance(one, dict)
    }
    return Body(
        media,
        schema,
        {**dict(_encoded(document, schema)), **said_of} if media.startswith("multipart/") else said_of,
        said.get("required") is True,
        _text(said.get("description")),
    )


def _encoded(document: Document, schema: Json) -> Iterator[tuple[str, JsonObject]]:
    """What is said of members that are bytes in an encoding of the service's own: no part of theirs is plain text."""
    members = document.resolved(schema).get("properties") if isinstance(schema, dict) else None
    for name, one in members.items() if isinstance(members, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("contentEncoding"), str):
            yield name, {"contentType": one.get("contentMediaType", "application/octet-stream")}


def _is_json(media: str) -> bool:
    bare = media.partition(";")[0].strip().lower()
    return bare == "application/json" or bare.endswith("+json")


def _rank(media: str) -> int:
    """The media type that says most first; of equals the first that the document has."""
    bare = media.partition(";")[0].strip().lower()
    order = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
    if bare in order:
        return 2 * order.index(bare)
    if bare.endswith("+json"):
        return 1
    if bare.startswith("text/") and "*" not in bare:
        return 6
    return 8 if bare == "*/*" else 7


def _security(said: Json) -> tuple[str, ...]:
    names = (name for one in (said if isinstance(said, list) else ()) if isinstance(one, dict) for name in one)
    return tuple(dict.fromkeys(names))


def _text(value: Json) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
