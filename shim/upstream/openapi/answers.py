"""What a service answered, as the result of a tool.

Source: RFC 9110 (statuses, Retry-After), MCP 2026-07-28, server/tools, "Tool Result".
"""

from __future__ import annotations

import base64
import http
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from shim import jsontext
from shim.errors import InvalidText
from shim.model import META_PREFIX, Json, JsonObject
from shim.upstream.openapi.mapping import is_text

HTTP_META: Final = f"{META_PREFIX}http"

_LONGEST_ERROR: Final = 16_384
_CHARSET: Final = re.compile(r"charset=\"?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_MEDIA: Final = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_TEXTS: Final = frozenset(
    {"application/javascript", "application/x-www-form-urlencoded", "application/x-ndjson", "application/jsonl"}
    | {"application/toml", "application/sql", "application/hcl"}
)


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` by their names in lower case. `content` is None where nobody asked for it (HEAD)."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)


def result(response: Response, shown: Collection[str], uri: str, hide: Callable[[str], str]) -> JsonObject:
    """The result of a call. `shown`: headers that are shown, in lower case. `uri` names what is bytes.

    `hide` takes the values of secrets out of a text that is about to be cut: nobody could find a part of one later.
    """
    is_error = not 200 <= response.status < 300
    made = _failed(response, hide) if is_error else _succeeded(response, uri)
    said: JsonObject = {"status": response.status}
    headers = {name: response.headers[name] for name in shown if name in response.headers}
    if headers:
        said["headers"] = headers
    return {"resultType": "complete", **made, "isError": is_error, "_meta": {HTTP_META: said}}


def _succeeded(response: Response, uri: str) -> JsonObject:
    content = response.content
    if not content:
        return {"content": [_text(f"{_named(response.status)}, without content.")]}
    media = media_type(response)
    if _is_json(media) or not media:
        try:
            # A mark of the byte order may be passed over (RFC 8259, 8.1), and some servers write one.
            content = content.removeprefix(b"\xef\xbb\xbf")
            value = jsontext.parse(content)
        except InvalidText:
            # It says that it is, and is not: as it came.
            value, is_json = None, False
        else:
            is_json = bool(media) or isinstance(value, dict | list)
        if is_json:
            return {"content": [_text(content.decode("utf-8"))], "structuredContent": _object(value)}
    text = _decoded(response, media)
    if text is not None:
        return {"content": [_text(text)]}
    return {"content": [_bytes(content, media or "application/octet-stream", uri)]}


def _failed(response: Response, hide: Callable[[str], str]) -> JsonObject:
    if 300 <= response.status < 400:
        sentence = f"The service answered with {_named(response.status)}, a redirect, which is never followed."
    else:
        sentence = f"The service refused the request with {_named(response.status)}."
    wait = response.headers.get("retry-after", "")
    if wait and len(wait) <= 64:
        sentence += f" Retry-After: {wait}."
    said = [_text(sentence)]
    text = _decoded(response, media_type(response)) if response.content else None
    if text:
        if len(text) > _LONGEST_ERROR:
            text = hide(text[: 4 * _LONGEST_ERROR])[:_LONGEST_ERROR] + " … (cut)"
        said.append(_text(text))
    return {"content": said}


def media_type(response: Response) -> str:
    """The bare content type of a response; empty where there is none that is one."""
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media if _MEDIA.fullmatch(media) else ""


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {"result": value}


def _decoded(response: Response, media: str) -> str | None:
    """The text of a response; None where it is none."""
    if media and not (is_text(media) or _is_json(media) or media in _TEXTS):
        return None
    said = _CHARSET.search(response.headers.get("content-type", ""))
    charset = said[1] if said is not None and said[1].lower() in _CHARSETS else "utf-8"
    content = response.content or b""
    try:
        return content.decode(charset)
    except UnicodeDecodeError:
        return content.decode("utf-8", "replace") if media else None


_CHARSETS: Final = frozenset(
    {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "iso-8859-15", "windows-1252", "utf-16", "utf-16le"}
    | {"utf-16be", "shift_jis", "euc-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr", "koi8-r", "windows-1251"}
)


def _is_json(media: str) -> bool:
    return media in ("application/json", "text/json") or media.endswith("+json")


def _bytes(content: bytes, media: str, uri: str) -> JsonObject:
    data = base64.b64encode(content).decode("ascii")
    for kind in ("image", "audio"):
        if media.startswith(f"{kind}/"):
            return {"type": kind, "data": data, "mimeType": media}
    return {"type": "resource", "resource": {"uri": uri, "mimeType": media, "blob": data}}


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _named(status: int) -> str:
    try:
        return f"HTTP status {status} ({http.HTTPStatus(status).phrase})"
    except ValueError:
        return f"HTTP status {status}"
