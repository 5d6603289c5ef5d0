"""What a result or an error looks like in each era.

Results travel as upstreams gave them; only members that the protocol itself defines for one era are added or dropped.
"""

from __future__ import annotations

import json
import re
from typing import Final

from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)

from shim.errors import REFUSED, ProtocolError, RecordUnavailable
from shim.model import Json, JsonObject

CACHED: Final = frozenset({"resources/read"})
"""The methods whose results clients may cache, beside those that list."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_MODERN_RESULT = frozenset({"resultType", "ttlMs", "cacheScope"})
_MODERN_META = frozenset(
    {
        PROTOCOL_VERSION_META_KEY,
        CLIENT_INFO_META_KEY,
        CLIENT_CAPABILITIES_META_KEY,
        LOG_LEVEL_META_KEY,
        SUBSCRIPTION_ID_META_KEY,
        SERVER_INFO_META_KEY,
    }
)


def modern_result(result: JsonObject, server: JsonObject) -> JsonObject:
    """A result with what revision 2026-07-28 requires of every one where it lacks it: its type, and who answers."""
    shaped = dict(result)
    shaped.setdefault("resultType", "complete")
    meta = shaped.get("_meta")
    if meta is None:
        shaped["_meta"] = {SERVER_INFO_META_KEY: server}
    elif isinstance(meta, dict) and SERVER_INFO_META_KEY not in meta:
        shaped["_meta"] = {**meta, SERVER_INFO_META_KEY: server}
    return shaped


def private(result: JsonObject) -> JsonObject:
    """A result that may be cached (MCP 2026-07-28, "Caching"), for nobody but who asked: it hangs on a grant.

    What an upstream says of how long it holds is kept; an earlier one says nothing, and then it does not hold.
    """
    if result.get("resultType", "complete") != "complete":
        return result
    return {"ttlMs": 0, **result, "cacheScope": "private"}


def legacy_result(result: JsonObject) -> JsonObject:
    """A result without the members that came with revision 2026-07-28, which an earlier peer does not know."""
    shaped = {key: value for key, value in result.items() if key not in _MODERN_RESULT}
    meta = shaped.get("_meta")
    if isinstance(meta, dict) and not _MODERN_META.isdisjoint(meta):
        kept = {key: value for key, value in meta.items() if key not in _MODERN_META}
        if kept:
            shaped["_meta"] = kept
        else:
            del shaped["_meta"]
    return shaped


def encodable(value: JsonObject) -> JsonObject:
    """The value with U+FFFD for each lone surrogate, on which the SDK's sessions over HTTP break: UTF-8 has none."""
    text = json.dumps(value, ensure_ascii=False, check_circular=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        replaced: JsonObject = json.loads(_SURROGATE.sub("\ufffd", text))
        return replaced
    return value


def error_object(code: int, message: str, data: Json = None) -> JsonObject:
    """A JSON-RPC error; no `data` where there is nothing to say."""
    error: JsonObject = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return error


def error_of(error: ProtocolError | RecordUnavailable) -> JsonObject:
    """What the caller gets for an error that ends a request outside of a call."""
    if isinstance(error, RecordUnavailable):
        data = {"decision": "deny", "reason": error.reason.value, "grant": None, "invocation": None}
        return error_object(REFUSED, "The request was refused because it could not be recorded; try again later.", data)
    return error_object(error.code, str(error), error.data)
