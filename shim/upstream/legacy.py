"""The handshake of the revisions up to 2025-11-25, and their log level, which is one for a whole session.

Source: specification 2025-11-25, basic/lifecycle and server/utilities/logging.
"""

from __future__ import annotations

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION

from shim.errors import Refusal
from shim.model import JsonObject, Reply
from shim.upstream.exchange import LEVELS, Ask
from shim.upstream.failures import unavailable
from shim.upstream.session import Me, Peer, Session

_SET_LEVEL_TIMEOUT = 5.0
_SMALL = 1024 * 1024


async def initialize(session: Session, me: Me, timeout: float, limit: int) -> Reply:
    """Send `initialize` with the newest legacy revision and no capabilities."""
    params: JsonObject = {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": {},
        "clientInfo": me.info,
    }
    return await session.request(Ask("initialize", params, timeout, limit))


def peer(name: str, result: JsonObject) -> Peer:
    """What an `initialize` result says. Raises UpstreamUnavailable for a revision that the shim does not speak."""
    version = result.get("protocolVersion")
    if version not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise unavailable(name, "it speaks no revision of MCP that the shim does")
    server, capabilities, instructions = (result.get(key) for key in ("serverInfo", "capabilities", "instructions"))
    return Peer(
        "legacy",
        version,
        server if isinstance(server, dict) else {},
        capabilities if isinstance(capabilities, dict) else {},
        instructions if isinstance(instructions, str) else None,
    )


class Verbosity:
    """The log level of one legacy session: as much as the most curious of its calls has asked for so far.

    The level is one for the session while callers' wishes are one for the call, so it is only ever lowered to the
    least severity asked for, and each call hears no more than it wants (`Ask.hears`).
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._level: str | None = None

    async def reach(self, level: str | None) -> None:
        """Before a call that wants messages from `level` on. A server that refuses this still gets the call."""
        peer = self._session.peer
        if level not in LEVELS or peer is None or not peer.can("logging"):
            return
        if self._level is not None and LEVELS.index(self._level) <= LEVELS.index(level):
            return
        self._level = level
        try:
            await self._session.request(Ask("logging/setLevel", {"level": level}, _SET_LEVEL_TIMEOUT, _SMALL))
        except Refusal:
            self._level = None
