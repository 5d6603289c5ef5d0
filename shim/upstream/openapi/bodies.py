"""Bodies of requests, of the media type of an operation.

Source: OpenAPI Specification 3.1.1, "Encoding Object"; RFC 7578 (multipart/form-data); WHATWG URL (forms), HTML (names
in multipart).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from shim import jsontext
from shim.model import Json, JsonObject
from shim.upstream.openapi import styles
from shim.upstream.openapi.mapping import is_text
from shim.upstream.openapi.operations import Body, Parameter
from shim.upstream.openapi.styles import Misplaced

_BINARY: Final = "application/octet-stream"
_STYLED: Final = ("style", "explode", "allowReserved")


def written(body: Body, binary: frozenset[str], value: Json) -> tuple[str, bytes]:
    """The content type and the bytes of a body. `binary`: its members that are in base64. Raises Misplaced."""
    media = body.media.partition(";")[0].strip().lower()
    if media == "application/json" or media.endswith("+json"):
        return body.media, jsontext.dump(value)
    if media == "application/x-www-form-urlencoded":
        return body.media, _form(body, _members(value)).encode("ascii")
    if media == "multipart/form-data":
        return _multipart([*_parts(body, binary, _members(value))])
    if is_text(media):
        return (body.media if "*" not in media else "text/plain; charset=utf-8"), styles.scalar(value).encode("utf-8")
    return (body.media if "*" not in media else _BINARY), _bytes(value)


def _members(value: Json) -> JsonObject:
    if not isinstance(value, dict):
        raise Misplaced("is no object, and a form has members")
    return value


def _form(body: Body, members: JsonObject) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in members.items():
        styles.scalar(name)
        encoding = body.encoding.get(name, {})
        if value is None:
            raise Misplaced(f"has null as {name[:60]!r}, which a form cannot say; leave it out")
        pairs += styles.in_query(_as_parameter(name, value, encoding), value)
    named = [name for name, _ in pairs]
    owners = {quote(name, safe="") for name in members}
    if len(named) != len(set(named)) and any(
        named.count(name) > 1 and not isinstance(members.get(name), list) and name in owners for name in set(named)
    ):
        raise Misplaced("has a member whose keys would be other members of the form")
    return "&".join(f"{name}={value}" for name, value in pairs)


def _as_parameter(name: str, value: Json, encoding: JsonObject) -> Parameter:
    style, is_styled = encoding.get("style", "form"), any(key in encoding for key in _STYLED)
    if style not in ("form", "spaceDelimited", "pipeDelimited", "deepObject"):
        style = "form"
    explode = encoding.get("explode")
    nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict | list) for one in value))
    media = "application/json" if nested and not is_styled else None
    return Parameter(
        name,
        "query",
        False,
        style,
        explode if isinstance(explode, bool) else style == "form",
        False,
        {},
        media,
        None,
    )


def _parts(
    body: Body, binary: frozenset[str], members: JsonObject
) -> Iterator[tuple[str, str | None, str | None, bytes]]:
    """Name, name of a file, content type and bytes of each part."""
    for name, value in members.items():
        said = body.encoding.get(name, {}).get("contentType")
        media = said.split(",")[0].strip() if isinstance(said, str) and "*" not in said.split(",")[0] else None
        if media is not None and not (media.isascii() and media.isprintable()):
            media = None
        for one in value if isinstance(value, list) else [value]:
            if name in binary:
                yield name, name, media or _BINARY, _bytes(one)
            elif isinstance(one, dict | list) or one is None:
                yield name, None, media or "application/json", jsontext.dump(one)
            else:
                yield name, None, media, styles.scalar(one).encode("utf-8")


def _multipart(parts: list[tuple[str, str | None, str | None, bytes]]) -> tuple[str, bytes]:
    pieces: list[bytes] = []
    digest = hashlib.sha256()
    for _, _, _, data in parts:
        digest.update(data)
    boundary = f"part-{digest.hexdigest()[:40]}"
    while any(boundary.encode("ascii") in data for _, _, _, data in parts):
        boundary = f"part-{hashlib.sha256(boundary.encode('ascii')).hexdigest()[:40]}"
    for name, file, media, data in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        head += f'; filename="{_quoted(file)}"' if file is not None else ""
        head += f"\r\nContent-Type: {media}" if media is not None else ""
        pieces += [head.encode("utf-8"), b"\r\n\r\n", data, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _quoted(name: str) -> str:
    text = styles.scalar(name)
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _bytes(value: Json) -> bytes:
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    raise Misplaced("is not base64, which bytes are written in")
