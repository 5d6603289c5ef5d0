"""What every face has in common: what is in force behind it, what it says of itself, the methods it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, LOG_LEVEL_META_KEY
from mcp_types.methods import INPUT_REQUIRED_METHODS
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS

from shim.errors import ProtocolError
from shim.extensions import EVERY, spoken
from shim.generation import Current, Sender
from shim.methods import Method
from shim.model import Answer, JsonObject, Listener
from shim.server.closing import Closing
from shim.server.holding import Check, Holding, inputs_of
from shim.server.message import Message
from shim.server.notices import LEVELS
from shim.server.request import Request
from shim.server.shapes import modern_result
from shim.server.subscriptions import LOOK_SECONDS, listen
from shim.views import Listing, View

_CAPABILITIES: JsonObject = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "completions": {},
    "logging": {},
}


def capabilities(protocol: str) -> JsonObject:
    """What this version honours in a revision; nothing an upstream can do beyond it is promised."""
    return {**_CAPABILITIES, "extensions": spoken(EVERY, protocol)}


LISTS: Final[Mapping[str, tuple[str, Callable[[View], Listing]]]] = {
    "tools/list": ("tools", lambda view: view.tools),
    "prompts/list": ("prompts", lambda view: view.prompts),
    "resources/list": ("resources", lambda view: view.resources),
    "resources/templates/list": ("resourceTemplates", lambda view: view.templates),
}
"""Each method that lists, with the member of its result and which list of a view that is."""


LISTENING_PER_IDENTITY = 1000
"""No identity has more `subscriptions/listen` open at once, as with sessions of legacy clients."""


@dataclass(frozen=True, slots=True)
class Face:
    """One server as clients see it.

    `ttl` is for how many milliseconds a list may be taken for fresh; `look` how often, in seconds, a stream looks
    whether its owner is still somebody.
    """

    current: Current
    name: str
    version: str
    closing: Closing
    ttl: int = 5000
    look: float = LOOK_SECONDS
    holding: Holding = field(default_factory=Holding)
    listening: Counter[str] = field(default_factory=Counter)
    """How many `subscriptions/listen` each identity has open."""

    @property
    def info(self) -> JsonObject:
        """`serverInfo`."""
        return {"name": self.name, "version": self.version}

    def about(self, sender: Sender, protocol: str) -> JsonObject:
        """What a client is told of the server when it introduces itself: `capabilities`, and `instructions` if any."""
        instructions = sender.generation.instructions(sender.credential.identity)
        told: JsonObject = {"capabilities": capabilities(protocol)}
        return told if instructions is None else {**told, "instructions": instructions}

    def discover(self, sender: Sender) -> JsonObject:
        """The result of `server/discover` (MCP 2026-07-28, "Discovery")."""
        result: JsonObject = {
            "resultType": "complete",
            "supportedVersions": list(MODERN_PROTOCOL_VERSIONS),
            "ttlMs": self.ttl,
            "cacheScope": "private",
            **self.about(sender, LATEST_MODERN_VERSION),
        }
        return modern_result(result, self.info)

    async def listing(self, request: Request, method: str) -> Listing:
        """A whole list, which is one page. Raises ProtocolError for a cursor that nobody gave, RecordUnavailable."""
        if request.message.params.get("cursor") is not None:
            raise ProtocolError(INVALID_PARAMS, "Invalid params: unknown cursor")
        return LISTS[method][1](await request.gateway.lists(request.caller))

    async def call(self, request: Request, method: Method, listener: Listener, check: Check | None = None) -> Answer:
        """A call of a modern client: its end, or questions to the client; or a call that answers go on with.

        `check` as in `Gateway.call`. Raises ProtocolError. Cancelling cancels the call.
        """
        gateway, caller, params = request.gateway, request.caller, request.message.params
        if method.name not in INPUT_REQUIRED_METHODS:
            return await gateway.call(caller, method, params, listener, check)
        if params.get("requestState") is not None:
            return await self.holding.resume(caller, method.name, params, listener, check)
        given = inputs_of(params)
        if not gateway.may_be_asked(caller):
            return await gateway.call(caller, method, params, listener, check)

        async def run(held: Listener, seen: Check) -> Answer:
            return await gateway.call(caller, method, params, held, seen)

        return await self.holding.begin(caller, method.name, params, listener, check, run, given)

    def modern_list(self, method: str, listing: Listing) -> JsonObject:
        """A list as the modern result of its method."""
        result: JsonObject = {LISTS[method][0]: list(listing.definitions), "ttlMs": self.ttl, "cacheScope": "private"}
        return modern_result(result, self.info)

    async def listen(self, request: Request) -> JsonObject:
        """One `subscriptions/listen` of a modern client, until it ends. Raises ProtocolError and RecordUnavailable."""
        identity = request.caller.identity.name
        if self.listening[identity] >= LISTENING_PER_IDENTITY:
            raise ProtocolError(INTERNAL_ERROR, "Too many open streams")
        self.listening[identity] += 1
        try:
            return modern_result(await listen(request, self.current, self.closing, look=self.look), self.info)
        finally:
            self.listening[identity] -= 1
            if not self.listening[identity]:
                del self.listening[identity]


def log_level(message: Message) -> str | None:
    """The mildest level of log messages that a modern request asks for, None where it asks for none.

    Raises ProtocolError for one that does not exist (MCP 2026-07-28, "Logging").
    """
    level = message.meta.get(LOG_LEVEL_META_KEY)
    if level is not None and level not in LEVELS:
        raise ProtocolError(INVALID_PARAMS, "Invalid params: unknown log level")
    return level if isinstance(level, str) else None
