"""What the headers of a modern request must say, and where they contradict the body.

Source: specification 2026-07-28, "Streamable HTTP", request metadata, value encoding and server validation. Not the
SDK's own check: importing that takes a second, for a server that tests start dozens of times.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from tests.parts.odd_server.definitions import TOOLS
from tests.parts.odd_server.wire import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    MODERN,
    VERSION_KEY,
    JsonObject,
    RpcError,
    is_modern,
)

_BEGIN, _END = "=?base64?", "?="


def check_headers(message: JsonObject, headers: dict[str, str]) -> None:
    """Raises RpcError -32020 where a header is missing, doubled or says something else than the body."""
    if "id" not in message:
        return
    params, method = message.get("params") or {}, message.get("method")
    version = headers.get("mcp-protocol-version")
    if version is None:
        raise RpcError(HEADER_MISMATCH, f"MCP-Protocol-Version is missing: this server speaks {MODERN}")
    if not is_modern(params):
        raise RpcError(INVALID_PARAMS, f"_meta lacks {VERSION_KEY}")
    if version != params["_meta"][VERSION_KEY]:
        raise RpcError(HEADER_MISMATCH, "MCP-Protocol-Version does not match the body")
    if headers.get("mcp-method") != method:
        raise RpcError(HEADER_MISMATCH, "Mcp-Method does not match the body")
    named = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}.get(str(method))
    if named is not None and _decoded(headers.get("mcp-name")) != params.get(named):
        raise RpcError(HEADER_MISMATCH, "Mcp-Name does not match the body")
    if method == "tools/call":
        _check_call(params, headers)


def _check_call(params: JsonObject, headers: dict[str, str]) -> None:
    name = params.get("name")
    schema: JsonObject = next((tool["inputSchema"] for tool in TOOLS if tool["name"] == name), {})
    for path, header in _mirrored(schema, ()):
        value = _at(params.get("arguments") or {}, path)
        sent = _decoded(headers.get(f"mcp-param-{header}".lower()))
        if (None if value is None else _rendered(value)) != sent:
            raise RpcError(HEADER_MISMATCH, f"Mcp-Param-{header} does not match the body")


def _mirrored(schema: JsonObject, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, below in schema.get("properties", {}).items():
        if isinstance(below, dict):
            if "x-mcp-header" in below:
                yield (*path, name), below["x-mcp-header"]
            yield from _mirrored(below, (*path, name))


def _at(arguments: JsonObject, path: tuple[str, ...]) -> object:
    value: object = arguments
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _rendered(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _decoded(value: str | None) -> str | None:
    if value is None or not (value.startswith(_BEGIN) and value.endswith(_END)):
        return value
    try:
        return base64.b64decode(value[len(_BEGIN) : -len(_END)], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
