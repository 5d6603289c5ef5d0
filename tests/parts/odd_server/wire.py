"""Names of the protocol that the server uses, and the values that travel inside it.

Source: specification 2026-07-28 ("Versioning", "Discovery", "Streamable HTTP", "Subscriptions") and 2025-11-25
("Lifecycle", "Transports").
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
Era: TypeAlias = Literal["legacy", "modern"]
Send: TypeAlias = Callable[[JsonObject], Awaitable[None]]
Raw: TypeAlias = Callable[[bytes], Awaitable[None]]

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
PREFIX = "io.modelcontextprotocol/"
VERSION_KEY = PREFIX + "protocolVersion"
CAPABILITIES_KEY = PREFIX + "clientCapabilities"
LEVEL_KEY = PREFIX + "logLevel"
SUBSCRIPTION_KEY = PREFIX + "subscriptionId"
SERVER_KEY = PREFIX + "serverInfo"

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class RpcError(Exception):
    """What is answered instead of a result."""

    def __init__(self, code: int, message: str, **data: Any) -> None:
        super().__init__(message)
        self.error: JsonObject = {"code": code, "message": message}
        if data:
            self.error["data"] = data


@dataclass
class Session:
    """What one connection (stdio) or one legacy HTTP session has said so far. Modern HTTP has one that stays empty."""

    era: Era | None = None
    level: str = "debug"
    running: dict[str | int, asyncio.Task[None]] = field(default_factory=dict)
    stream: Send | None = None
    """Where a legacy client hears what belongs to no request."""


@dataclass(frozen=True)
class Request:
    """One request on its way: who asked, in which era, and where its notifications go."""

    id: str | int
    method: str
    params: JsonObject
    era: Era
    session: Session
    send: Send
    raw: Raw

    @property
    def meta(self) -> JsonObject:
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}


def dump(message: JsonObject) -> bytes:
    """One line of JSON; keys stay in their order."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def result(request_id: str | int, value: JsonObject) -> JsonObject:
    # The order is unusual on purpose: nothing promises that `jsonrpc` comes first.
    return {"result": value, "id": request_id, "jsonrpc": "2.0"}


def failure(request_id: str | int | None, error: JsonObject) -> JsonObject:
    return {"error": error, "id": request_id, "jsonrpc": "2.0"}


def notification(method: str, params: JsonObject) -> JsonObject:
    return {"params": params, "method": method, "jsonrpc": "2.0"}


def is_modern(params: object) -> bool:
    """Whether a request carries the envelope of the stateless revision."""
    meta = params.get("_meta") if isinstance(params, dict) else None
    return isinstance(meta, dict) and VERSION_KEY in meta
