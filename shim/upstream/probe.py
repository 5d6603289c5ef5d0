"""Which era an upstream speaks, found out by the first thing that is said in a session; and what it says of itself.

Source: specification 2026-07-28, "Backward Compatibility" of both transports: a discover result or a recognised
modern error means modern, anything else legacy. An outage is no verdict on the era.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcp_types import HEADER_MISMATCH, MISSING_REQUIRED_CLIENT_CAPABILITY, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS

from shim.errors import UpstreamFault, UpstreamTimeout
from shim.model import Era, Json, JsonObject, Reply
from shim.upstream import legacy, modern
from shim.upstream.failures import Rejected, unavailable
from shim.upstream.session import Me, Peer, Session

_PROBE = 5.0
"""Seconds that a server which may be legacy has to answer the probe; some stay silent for ever."""

_NO_VERDICT = frozenset({401, 403, 407, 408, 425, 429})


class Probe:
    """Says the first thing in sessions with one upstream."""

    def __init__(self, name: str, me: Me, timeout: float, limit: int) -> None:
        self._name = name
        self._me = me
        self._timeout = timeout
        self._limit = limit

    async def peer(self, session: Session, era: Era | None, capabilities: JsonObject) -> Peer:
        """Who is there. `era`: what the configuration forces, or what was found out before. Raises the Refusals.

        A legacy peer is told the `capabilities` of the client whose session this is.
        """
        if era == "legacy":
            return await self._legacy(session, capabilities)
        peer = await self._discover(session, forced=era == "modern")
        return peer if peer is not None else await self._legacy(session, capabilities)

    async def _discover(self, session: Session, *, forced: bool, version: str = LATEST_MODERN_VERSION) -> Peer | None:
        """Who is there; None where the upstream is legacy."""
        reply = await self._ask(session, version, self._timeout if forced else _PROBE, forced=forced)
        if reply is None:
            return None
        if reply.error is not None:
            return await self._corrected(session, reply.error, forced=forced, version=version)
        supported = _supported(reply.result)
        mutual = [known for known in MODERN_PROTOCOL_VERSIONS if known in supported]
        if mutual:
            return modern.peer(reply.result or {}, mutual[-1])
        if forced:
            raise self._incompatible()
        return None

    async def _ask(self, session: Session, version: str, timeout: float, *, forced: bool) -> Reply | None:
        """The answer to a probe; None where it shows that the upstream is legacy."""
        try:
            return await modern.discover(session, self._me, version, timeout, self._limit)
        except Rejected as rejected:
            if forced or rejected.status in _NO_VERDICT or not 400 <= rejected.status < 500:
                raise
        except UpstreamTimeout:
            if forced:
                raise
        except UpstreamFault:
            if forced:
                raise
        return None

    async def _corrected(self, session: Session, error: JsonObject, *, forced: bool, version: str) -> Peer | None:
        code = error.get("code")
        if code == UNSUPPORTED_PROTOCOL_VERSION:
            supported = _supported(error.get("data"), "supported")
            mutual = [known for known in MODERN_PROTOCOL_VERSIONS if known in supported and known != version]
            if mutual:
                return await self._discover(session, forced=True, version=mutual[-1])
            if forced or not any(known in HANDSHAKE_PROTOCOL_VERSIONS for known in supported):
                raise self._incompatible()
        elif code in (HEADER_MISMATCH, MISSING_REQUIRED_CLIENT_CAPABILITY) or forced:
            raise unavailable(self._name, f"it refused to say what it offers (error {code})")
        return None

    async def _legacy(self, session: Session, capabilities: JsonObject) -> Peer:
        session.inbox.era = "legacy"
        reply = await legacy.initialize(session, self._me, capabilities, self._timeout, self._limit)
        if reply.error is not None:
            if reply.error.get("code") == UNSUPPORTED_PROTOCOL_VERSION:
                # A slow start: the probe was answered after all, and fixed the era before the handshake came.
                peer = await self._discover(session, forced=True)
                if peer is not None:
                    return peer
            raise unavailable(self._name, f"it refused the handshake (error {reply.error.get('code')})")
        return legacy.peer(self._name, reply.result or {})

    def _incompatible(self) -> Exception:
        return unavailable(self._name, "it speaks no revision of MCP that the shim does")


def _supported(data: Json, key: str = "supportedVersions") -> Sequence[str]:
    versions = data.get(key) if isinstance(data, dict) else None
    return [version for version in versions if isinstance(version, str)] if isinstance(versions, list) else []
