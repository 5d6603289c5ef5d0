"""What belongs to the revisions up to 2025-11-25 alone: the handshake, and a log level that is one for a session.

Source: specification 2025-11-25, basic/lifecycle and server/utilities/logging.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION

from shim.errors import Refusal
from shim.extensions import EVERY_APP
from shim.model import JsonObject, Offered, Reply
from shim.upstream.backoff import Backoff
from shim.upstream.exchange import LEVELS, Ask
from shim.upstream.failures import unavailable
from shim.upstream.handing import Handed
from shim.upstream.session import Me, Peer, Session

_SET_LEVEL_TIMEOUT = 5.0
_SMALL = 1024 * 1024


async def initialize(session: Session, me: Me, capabilities: JsonObject, timeout: float, limit: int) -> Reply:
    """Send `initialize` with the newest legacy revision, and what may be asked in this session."""
    params: JsonObject = {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": {**capabilities, "extensions": EVERY_APP},
        "clientInfo": me.info,
    }
    return await session.request(Ask("initialize", params, timeout, limit))


def peer(name: str, result: JsonObject) -> Peer:
    """What an `initialize` result says. Raises UpstreamUnavailable for a revision that the shim does not speak."""
    version = result.get("protocolVersion")
    if version not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise unavailable(name, "it speaks no revision of MCP that the shim does")
    return Peer.said("legacy", version, result.get("serverInfo"), result)


class Legacy:
    """See `Dialect`. Requests say nothing of the protocol: the session has agreed on it when it was opened.

    The log level is one for the session while callers' wishes are one for the call, so it is only ever lowered to the
    least severity that any call has asked for so far, and each call hears no more than it wants (`Ask.hears`).
    """

    mirrors = False

    def __init__(self, session: Session, peer: Peer) -> None:
        self._session = session
        self._peer = peer
        self._level: str | None = None

    def meta(self, _level: str | None = None, _capabilities: JsonObject | None = None, /) -> JsonObject:
        return {}

    def headers(self, _target: Offered, _arguments: object, _handed: Handed, /) -> Mapping[str, str]:
        return {}

    async def prepare(self, ask: Ask, /) -> None:
        """Lower the session's level to what this call wants. A server that refuses this still gets the call."""
        level = ask.level
        if level not in LEVELS or not self._peer.can("logging"):
            return
        if self._level is not None and LEVELS.index(self._level) <= LEVELS.index(level):
            return
        self._level = level
        try:
            await self._session.request(Ask("logging/setLevel", {"level": level}, _SET_LEVEL_TIMEOUT, _SMALL))
        except Refusal:
            self._level = None

    async def follow(self, _limit: int, _pauses: Backoff, _changed: Callable[[], None], /) -> bool:
        """A legacy upstream tells everybody, unasked."""
        return True
