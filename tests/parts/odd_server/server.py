"""The server itself, whatever carries its messages: methods of both eras over one set of tools."""

from __future__ import annotations

from collections.abc import Sequence

from tests.parts.odd_server.calls import Calls
from tests.parts.odd_server.definitions import EXTRA, TOOLS
from tests.parts.odd_server.ledger import Ledger
from tests.parts.odd_server.library import Library
from tests.parts.odd_server.wire import (
    CAPABILITIES_KEY,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LEGACY,
    LEVEL_KEY,
    LEVELS,
    METHOD_NOT_FOUND,
    MODERN,
    SERVER_KEY,
    SUBSCRIPTION_KEY,
    UNSUPPORTED_VERSION,
    VERSION_KEY,
    Era,
    JsonObject,
    Request,
    RpcError,
    Session,
    notification,
)

INFO: JsonObject = {"name": "odd", "version": "1.0", "title": "The odd server", "futureMember": None}
CAPABILITIES: JsonObject = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True},
    "completions": {},
    "logging": {},
    "experimental": {"example.com/odd": {}},
}
INSTRUCTIONS = "Answers what no library would."
TTL_MS = 60_000


class OddServer:
    """Answers requests. `eras` are those it speaks; `page` is how many tools one page of the list holds."""

    def __init__(self, eras: Sequence[Era], ledger: Ledger, page: int) -> None:
        self.eras = tuple(eras)
        self._page = page
        self._extra = False
        self._subscribers: dict[int, Request] = {}
        self._sessions: dict[int, Session] = {}
        self._library = Library(ledger)
        self.calls = Calls(ledger, self._offers, self._change)

    def join(self, session: Session) -> None:
        """From now on a legacy session hears changes on its own stream."""
        self._sessions[id(session)] = session

    def leave(self, session: Session) -> None:
        self._sessions.pop(id(session), None)

    def subscribe(self, request: Request) -> JsonObject:
        """Enter one `subscriptions/listen`: the acknowledgement that must come first."""
        wanted = request.params.get("notifications")
        if not isinstance(wanted, dict):
            raise RpcError(INVALID_PARAMS, "notifications must be an object")
        known = [f"{kind}ListChanged" for kind in ("tools", "prompts", "resources")]
        honoured = {key: True for key in known if wanted.get(key) is True}
        if honoured:
            self._subscribers[id(request)] = request
        meta = {SUBSCRIPTION_KEY: request.id}
        return notification("notifications/subscriptions/acknowledged", {"_meta": meta, "notifications": honoured})

    def unsubscribe(self, request: Request) -> None:
        self._subscribers.pop(id(request), None)

    async def answer(self, request: Request) -> JsonObject:
        """The result of one request. Raises RpcError; Withheld where there shall be no answer."""
        if request.era == "modern":
            return await self._modern(request)
        return await self._legacy(request)

    async def _modern(self, request: Request) -> JsonObject:
        meta = request.meta
        if CAPABILITIES_KEY not in meta:
            raise RpcError(INVALID_PARAMS, f"_meta lacks {CAPABILITIES_KEY}")
        if meta.get(VERSION_KEY) != MODERN or "modern" not in self.eras:
            supported = [MODERN] if "modern" in self.eras else []
            requested = meta.get(VERSION_KEY)
            raise RpcError(
                UNSUPPORTED_VERSION, "Unsupported protocol version", supported=supported, requested=requested
            )
        if LEVEL_KEY in meta and meta[LEVEL_KEY] not in LEVELS:
            raise RpcError(INVALID_PARAMS, "Invalid log level")
        hints: JsonObject = {"ttlMs": TTL_MS, "cacheScope": "public"}
        match request.method:
            case "server/discover":
                versions = [MODERN, *(LEGACY if "legacy" in self.eras else ())]
                # Versions of the handshake are named for people; the stateless one is what this answer proves.
                body = {"capabilities": CAPABILITIES, "supportedVersions": versions, "instructions": INSTRUCTIONS}
                return self._stamped({**body, **hints})
            case "tools/list":
                return self._stamped({**self._list(request), **hints})
            case "tools/call":
                return self._stamped(await self.calls.call(request))
        if (listed := self._library.lists(request.method)) is not None:
            return self._stamped({**listed, **hints})
        if (read := self._library.answer(request)) is not None:
            cached = hints if request.method == "resources/read" else {}
            return self._stamped({**read, **cached})
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")

    async def _legacy(self, request: Request) -> JsonObject:
        if "legacy" not in self.eras:
            asked = request.params.get("protocolVersion")
            message = f"Unsupported protocol version: this server speaks {MODERN}"
            raise RpcError(UNSUPPORTED_VERSION, message, supported=[MODERN], requested=asked)
        if request.method == "initialize":
            return self._initialize(request)
        if request.method == "ping":
            return {}
        if request.session.era != "legacy":
            raise RpcError(INVALID_REQUEST, "Received a request before initialization was complete")
        match request.method:
            case "tools/list":
                return self._list(request)
            case "tools/call":
                return await self.calls.call(request)
            case "logging/setLevel":
                level = request.params.get("level")
                if level not in LEVELS:
                    raise RpcError(INVALID_PARAMS, "Invalid log level")
                request.session.level = level
                return {}
        answer = self._library.lists(request.method) or self._library.answer(request)
        if answer is not None:
            return answer
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")

    def _initialize(self, request: Request) -> JsonObject:
        asked = request.params.get("protocolVersion")
        if not isinstance(asked, str):
            raise RpcError(INVALID_PARAMS, "protocolVersion must be a string")
        request.session.era = "legacy"
        return {
            "capabilities": CAPABILITIES,
            "serverInfo": INFO,
            "protocolVersion": asked if asked in LEGACY else LEGACY[0],
            "instructions": INSTRUCTIONS,
            "futureMember": None,
        }

    def _stamped(self, body: JsonObject) -> JsonObject:
        meta = {**body.get("_meta", {}), SERVER_KEY: INFO}
        return {**body, "_meta": meta, "resultType": "complete"}

    def _tools(self) -> list[JsonObject]:
        return [*TOOLS, EXTRA] if self._extra else list(TOOLS)

    def _offers(self, name: str) -> bool:
        return any(tool["name"] == name for tool in self._tools())

    def _list(self, request: Request) -> JsonObject:
        # The second page's cursor is the empty string: valid, and not the end of the list.
        cursor = request.params.get("cursor")
        tools, page = self._tools(), self._page
        starts = {"" if index == 1 else f"page {index}": index * page for index in range(1, -(-len(tools) // page))}
        if cursor is not None and cursor not in starts:
            raise RpcError(INVALID_PARAMS, "Invalid cursor")
        start = 0 if cursor is None else starts[cursor]
        body: JsonObject = {"listUnknown": {"z": None}, "tools": tools[start : start + page]}
        following = [name for name, at in starts.items() if at == start + page]
        return {**body, "nextCursor": following[0]} if following else body

    async def _change(self, which: str) -> None:
        if which == "tools":
            self._extra = not self._extra
        else:
            self._library.extra ^= {which}
        changed = f"notifications/{which}/list_changed"
        for session in list(self._sessions.values()):
            if session.stream is not None:
                await session.stream(notification(changed, {}))
        for request in list(self._subscribers.values()):
            if request.params["notifications"].get(f"{which}ListChanged") is True:
                await request.send(notification(changed, {"_meta": {SUBSCRIPTION_KEY: request.id}}))
