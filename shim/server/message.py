"""One JSON-RPC message of a client, read strictly, before anything else sees it.

The same reader stands in front of every face, over HTTP and stdio alike (JSON-RPC 2.0; MCP 2026-07-28, "Messages").
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TypeAlias

from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LOG_LEVEL_META_KEY,
    PARSE_ERROR,
    PROTOCOL_VERSION_META_KEY,
)

from shim import jsontext
from shim.errors import InvalidText, ProtocolError
from shim.extensions import CANCEL, GET, UPDATE
from shim.model import Client, Json, JsonObject

RequestId: TypeAlias = str | int

PROGRESS_TOKEN = "progressToken"

_ENVELOPE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMS = {
    "tools/call": frozenset({"_meta", "name", "arguments", "inputResponses", "requestState", "task"}),
    "prompts/get": frozenset({"_meta", "name", "arguments", "inputResponses", "requestState"}),
    "resources/read": frozenset({"_meta", "uri", "inputResponses", "requestState"}),
    "completion/complete": frozenset({"_meta", "ref", "argument", "context"}),
    GET: frozenset({"_meta", "taskId"}),
    UPDATE: frozenset({"_meta", "taskId", "inputResponses"}),
    CANCEL: frozenset({"_meta", "taskId"}),
    "tools/list": frozenset({"_meta", "cursor"}),
    "prompts/list": frozenset({"_meta", "cursor"}),
    "resources/list": frozenset({"_meta", "cursor"}),
    "resources/templates/list": frozenset({"_meta", "cursor"}),
    "initialize": frozenset({"_meta", "protocolVersion", "capabilities", "clientInfo"}),
    "server/discover": frozenset({"_meta"}),
    "subscriptions/listen": frozenset({"_meta", "notifications"}),
    "logging/setLevel": frozenset({"_meta", "level"}),
    "notifications/cancelled": frozenset({"_meta", "requestId", "reason"}),
}
_ANY_PARAMS = frozenset[str]().union(*_PARAMS.values())
_COMPLETED = {
    "ref": frozenset({"type", "name", "uri"}),
    "argument": frozenset({"name", "value"}),
    "context": frozenset({"arguments"}),
}
"""The members of what a completion is asked for, all of which are the protocol's."""

_META = frozenset(
    {
        PROGRESS_TOKEN,
        PROTOCOL_VERSION_META_KEY,
        CLIENT_INFO_META_KEY,
        CLIENT_CAPABILITIES_META_KEY,
        LOG_LEVEL_META_KEY,
        SUBSCRIPTION_ID_META_KEY,
        "traceparent",
        "tracestate",
        "baggage",
    }
)
_CLIENT_INFO = frozenset({"name", "version"})
_CAPABILITIES = frozenset({"elicitation", "experimental", "extensions", "roots", "sampling", "tasks"})
_LONGEST_CLIENT = 256

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII)


class BadMessage(ProtocolError):
    """A message that is refused as it stands; `id` and `method` are those of the message where they can be read."""

    def __init__(self, code: int, message: str, id: RequestId | None = None, method: str | None = None) -> None:  # noqa: A002 (the protocol's word)
        super().__init__(code, message)
        self.id = id
        self.method = method


@dataclass(frozen=True, slots=True)
class Message:
    """A request (`id` and `method`), a notification (no `id`), or a response (no `method`).

    `params` and `meta` are the message's own objects, or empty ones where it has none.
    """

    raw: JsonObject
    id: RequestId | None
    method: str | None
    params: JsonObject
    meta: JsonObject


def read(text: bytes) -> Message:
    """The message of one body or line. Raises BadMessage with the code that the sender is to get.

    Refused are: what `shim.jsontext` refuses (-32700); what is not one JSON-RPC object, a batch included (-32600); a
    key that equals a protocol key but for case, Unicode folding, invisible characters or a NUL, in the envelope, in
    `params` or in `_meta`, since another reader could take it for that key (-32600); and a `_meta`, progress token or
    client information of the wrong shape (-32602).
    """
    try:
        raw = jsontext.parse(text)
    except InvalidText as error:
        raise BadMessage(PARSE_ERROR, f"Parse error: {error}") from None
    if not isinstance(raw, dict):
        raise BadMessage(INVALID_REQUEST, "Invalid Request: the body must be one JSON-RPC object")
    id_ = raw.get("id")
    method = raw.get("method")
    known_id = id_ if type(id_) is str or type(id_) is int else None
    known_method = method if isinstance(method, str) else None
    try:
        return _message(raw, known_id, known_method)
    except ProtocolError as error:
        raise BadMessage(error.code, str(error), known_id, known_method) from None


def _message(raw: JsonObject, id_: RequestId | None, method: str | None) -> Message:
    _refuse_lookalikes(raw, _ENVELOPE)
    if raw.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, 'Invalid Request: jsonrpc must be "2.0"')
    if "id" in raw and id_ is None and "error" not in raw:
        raise ProtocolError(INVALID_REQUEST, "Invalid Request: id must be a string or an integer")
    if "method" not in raw:
        if ("result" in raw) == ("error" in raw):
            raise ProtocolError(INVALID_REQUEST, "Invalid Request: neither a request, a notification nor a response")
        return Message(raw, id_, None, {}, {})
    if method is None or "result" in raw or "error" in raw:
        raise ProtocolError(INVALID_REQUEST, "Invalid Request: method must be a string, without result or error")
    params, meta = _params(raw, method)
    return Message(raw, id_, method, params, meta)


def _params(raw: JsonObject, method: str) -> tuple[JsonObject, JsonObject]:
    params = raw.get("params")
    if params is None:
        return {}, {}
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_REQUEST, "Invalid Request: params must be an object")
    _refuse_lookalikes(params, _PARAMS.get(method, _ANY_PARAMS))
    if method == "completion/complete":
        for key, members in _COMPLETED.items():
            if isinstance(params.get(key), dict):
                _refuse_lookalikes(params[key], members)
    if "_meta" not in params:
        return params, {}
    meta = params["_meta"]
    if not isinstance(meta, dict):
        raise ProtocolError(INVALID_PARAMS, "Invalid params: _meta must be an object")
    _refuse_lookalikes(meta, _META)
    token = meta.get(PROGRESS_TOKEN)
    if token is not None and type(token) is not str and type(token) is not int:
        raise ProtocolError(INVALID_PARAMS, "Invalid params: progressToken must be a string or an integer")
    info = meta.get(CLIENT_INFO_META_KEY)
    if info is not None:
        check_client_info(info)
    capabilities = meta.get(CLIENT_CAPABILITIES_META_KEY)
    if isinstance(capabilities, dict):
        _refuse_lookalikes(capabilities, _CAPABILITIES)
    return params, meta


def check_client_info(info: Json) -> None:
    """Raise ProtocolError for what is not an object with a `name` and a `version` of text."""
    if not isinstance(info, dict):
        raise ProtocolError(INVALID_PARAMS, "Invalid params: clientInfo must be an object")
    _refuse_lookalikes(info, _CLIENT_INFO)
    if not isinstance(info.get("name"), str) or not isinstance(info.get("version"), str):
        raise ProtocolError(INVALID_PARAMS, "Invalid params: clientInfo must have a name and a version")


def client_of(info: Json) -> Client | None:
    """The program that speaks, by its own account."""
    if not isinstance(info, dict):
        return None
    name, version = info.get("name"), info.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        return None
    # It stays on the record for good, so it is kept only so far.
    return Client(name[:_LONGEST_CLIENT], version[:_LONGEST_CLIENT])


def capabilities_of(declared: Json) -> JsonObject:
    """What a client declares that it can be asked."""
    return declared if isinstance(declared, dict) else {}


def trace_of(meta: JsonObject) -> str | None:
    """The trace id of a valid `traceparent` (W3C Trace Context, section 3.2), 32 hex digits."""
    value = meta.get("traceparent")
    if not isinstance(value, str):
        return None
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace, parent, more = match.groups()
    if version == "ff" or (version == "00" and more) or not int(trace, 16) or not int(parent, 16):
        return None
    return trace


def _fold(key: str) -> str:
    visible = "".join(char for char in key if unicodedata.category(char) not in ("Cf", "Cc"))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())


_FOLDED = {
    known: frozenset(map(_fold, known)) for known in (_ENVELOPE, _ANY_PARAMS, _META, _CLIENT_INFO, _CAPABILITIES)
}
_FOLDED.update((known, frozenset(map(_fold, known))) for known in (*_PARAMS.values(), *_COMPLETED.values()))


def _refuse_lookalikes(members: JsonObject, known: frozenset[str]) -> None:
    for key in members:
        # A reader that ends text at a NUL sees only what stands before it.
        if key not in known and (_fold(key) in _FOLDED[known] or _fold(key.partition("\0")[0]) in _FOLDED[known]):
            raise ProtocolError(INVALID_REQUEST, f"Invalid Request: the key {key[:60]!r} looks like a protocol key")
