"""Values of parameters as a URL, a header or a cookie writes them, each in its place, or refused.

A value is refused where a server could read something else in it than was meant: another segment of the path, a second
parameter or cookie, another item of its list, whichever of splitting and decoding that server does first. null and
empty lists and objects are undefined, and left out (RFC 6570, 2.3 and 3.2.1).

Source: OpenAPI Specification 3.1.1, "Style Values", "Style Examples"; RFC 6570; RFC 6265, 4.1.1. What is defined here
beyond them: objects in objects as `a[b][c]=`, and lists in them as `a[b][0]=`, in the style deepObject; exploded lists
and objects in cookies as a cookie each.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from shim import jsontext
from shim.model import Json
from shim.upstream.openapi.operations import Parameter

_RESERVED: Final = ":/?@!$'()*,"
"""What stays as it is where a parameter allows reserved characters: those that part nothing in a query."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HEADER: Final = re.compile(r"[\x20-\x7e]*")
_COOKIE: Final = re.compile(r"[!#$&'()*+\-./0-9:<=>?@A-Z\[\]^_`a-z{|}~]*")
_SEPARATORS: Final = {"form": (",", ","), "spaceDelimited": ("%20", " "), "pipeDelimited": ("%7C", "|")}
"""What parts the items of a list that is one parameter: as it is written, and the character that it is."""

Write: TypeAlias = Callable[[Json, str], str]
"""Writes one scalar, in which none of these characters may be."""

_WHOLE: Final = 2**53
"""Below it a float that is a whole number is exactly that one."""
_LAYERS: Final = 8
_DEEPEST: Final = 32


class Misplaced(ValueError):
    """A value that would not stay in its place. `str()` completes "`NAME` ...": without the value."""


def scalar(value: Json) -> str:
    """The text of a value that is no list and no object. Raises Misplaced."""
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise Misplaced("holds half of a surrogate pair, which is no character")
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        # 3.0 is an integer in JSON Schema; a server that reads one from text takes no point.
        return str(int(value))
    if isinstance(value, int | float):
        return jsontext.dump(value).decode("ascii")
    what = "null" if value is None else "a list or an object"
    raise Misplaced(f"holds {what} where only a single value can be written")


def is_undefined(value: Json) -> bool:
    """Whether there is nothing to be written."""
    return value is None or value == [] or value == {}


def in_path(parameter: Parameter, value: Json, *, slashes: bool, others: frozenset[str]) -> str:
    """What stands for a parameter in the path. Whether the whole is a path is for `check_path`. Raises Misplaced.

    `slashes`: a value may hold `/`. `others` are the names that no key of an object may have.
    """
    if is_undefined(value):
        raise Misplaced("is empty, and stands in the path, where something has to be")

    def write(one: Json, apart: str) -> str:
        text = _apart(one, apart)
        _check_piece(text, slashes=slashes)
        return quote(text, safe="/" if slashes else "")

    if parameter.media is not None:
        return write(_content(parameter.media, value), "")
    explode = parameter.explode
    match parameter.style:
        case "label":
            separator = "." if explode else ","
            return "." + separator.join(_pieces(value, separator, write, explode=explode))
        case "matrix":
            _check_keys(value, others)
            return _matrix(quote(parameter.name, safe=""), value, write, explode=explode)
        case _:
            return ",".join(_pieces(value, ",", write, explode=explode))


def check_path(path: str) -> None:
    """Whether a path, as it will be sent, has only segments that are some. Raises Misplaced."""
    for segment in path.split("/"):
        for text in _layers(segment):
            for one in re.split(r"[/\\]", text):
                if one.partition(";")[0].strip() in (".", ".."):
                    raise Misplaced("would make a segment of dots, which leads elsewhere")


def in_query(parameter: Parameter, value: Json) -> list[tuple[str, str]]:
    """The pairs of a parameter in the query, encoded. Raises Misplaced."""
    if is_undefined(value):
        return []
    safe = _RESERVED if parameter.reserved else ""

    def write(one: Json, apart: str) -> str:
        return quote(_apart(one, apart), safe=safe)

    name = quote(parameter.name, safe="")
    if parameter.media is not None:
        return [(name, write(_content(parameter.media, value), ""))]
    if parameter.style == "deepObject":
        return [(quote(key, safe=""), text) for key, text in _deep(parameter.name, value, write, 0)]
    written, separator = _SEPARATORS[parameter.style]
    return _pairs(name, value, write, separator, written, explode=parameter.explode)


def in_header(parameter: Parameter, value: Json) -> str | None:
    """The value of a header; None where there is none. Raises Misplaced."""
    if is_undefined(value):
        return None

    def write(one: Json, apart: str) -> str:
        text = _apart(one, apart)
        if not _HEADER.fullmatch(text):
            raise Misplaced("holds characters that a header cannot: only printable ASCII stays what it is there")
        if text != text.strip() or (apart and not text):
            raise Misplaced("is empty or has spaces around it, which is lost in a header")
        return text

    if parameter.media is not None:
        return write(_content(parameter.media, value), "")
    return ",".join(_pieces(value, ",", write, explode=parameter.explode))


def in_cookie(parameter: Parameter, value: Json) -> list[tuple[str, str]]:
    """The cookies of a parameter. Raises Misplaced."""
    if is_undefined(value):
        return []

    def write(one: Json, apart: str) -> str:
        text = _apart(one, apart)
        if not _COOKIE.fullmatch(text):
            raise Misplaced("holds characters that a cookie cannot, such as a space, a comma or a semicolon")
        return text

    if parameter.media is not None:
        return [(parameter.name, quote(_content(parameter.media, value), safe=""))]
    return _pairs(parameter.name, value, write, ",", ",", explode=parameter.explode)


def _pieces(value: Json, separator: str, write: Write, *, explode: bool) -> list[str]:
    """The items of a list, the members of an object, or the one value, in none of which is the separator."""
    if isinstance(value, list):
        return [write(one, separator) for one in value]
    if not isinstance(value, dict):
        return [write(value, "")]
    _check_keys(value, frozenset())
    if explode:
        return [f"{write(key, separator + '=')}={write(one, separator)}" for key, one in value.items()]
    return [write(each, separator) for pair in value.items() for each in pair]


def _matrix(name: str, value: Json, write: Write, *, explode: bool) -> str:
    if explode and isinstance(value, dict):
        return "".join(f";{write(key, ';=')}={write(one, ';')}" for key, one in value.items())
    if explode and isinstance(value, list):
        return "".join(f";{name}={write(one, ';')}" for one in value)
    separated = ";," if isinstance(value, list | dict) else ";"
    return f";{name}=" + ",".join(_pieces(value, ",", lambda one, _: write(one, separated), explode=False))


def _pairs(
    name: str, value: Json, write: Write, separator: str, written: str, *, explode: bool
) -> list[tuple[str, str]]:
    if not explode or not isinstance(value, list | dict):
        return [(name, written.join(_pieces(value, separator, write, explode=False)))]
    if isinstance(value, list):
        return [(name, write(one, "")) for one in value]
    _check_keys(value, frozenset())
    return [(write(key, "="), write(one, "")) for key, one in value.items()]


def _deep(name: str, value: Json, write: Write, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        raise Misplaced("is nested too deep")
    if not isinstance(value, list | dict):
        yield name, write(value, "")
        return
    if depth and not value:
        raise Misplaced("holds an empty list or object, which cannot be written there")
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        step = _apart(key, "[]")
        if not step:
            raise Misplaced("holds a key that is empty")
        yield from _deep(f"{name}[{step}]", one, write, depth + 1)


def _content(media: str, value: Json) -> str:
    if media.partition(";")[0].strip().lower().startswith("text/"):
        return scalar(value)
    # As ASCII, so that it stays in a header, too.
    return json.dumps(value, separators=(",", ":"))


def _apart(value: Json, apart: str) -> str:
    text = scalar(value)
    for separator in apart:
        if separator in text:
            raise Misplaced(f"holds `{separator}` within an item, and items are parted by it there")
    return text


def _check_keys(value: Json, others: frozenset[str]) -> None:
    for key in value if isinstance(value, dict) else ():
        if not key:
            raise Misplaced("holds a key that is empty")
        if key in others:
            raise Misplaced(f"holds the key {key[:60]!r}, which would be another parameter")


def _check_piece(text: str, *, slashes: bool) -> None:
    """Whether a text, decoded and normalised as often as anybody may do that, stays within its segment."""
    for layer in _layers(text):
        if _CONTROL.search(layer):
            raise Misplaced("holds a control character, which no path does")
        if "\\" in layer or ("/" in layer and not slashes):
            raise Misplaced("holds a slash or a backslash, in some encoding, and stands in one segment of a path")
    if slashes and (text.startswith("/") or "//" in text):
        raise Misplaced("has an empty segment")


def _layers(text: str) -> Iterator[str]:
    """A text, and what it is after each decoding of percents, normalised (NFKC), too."""
    for _ in range(_LAYERS):
        yield text
        yield unicodedata.normalize("NFKC", text)
        try:
            decoded = unquote_to_bytes(text).decode("utf-8")
        except UnicodeDecodeError:
            raise Misplaced("holds percent-encoded bytes that are no text") from None
        if decoded == text:
            return
        text = decoded
    raise Misplaced("is percent-encoded in too many layers")
