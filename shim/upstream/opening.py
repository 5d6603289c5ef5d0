"""Opening sessions with one upstream, so that what comes out of it is ready for calls, whatever carries it."""

from __future__ import annotations

from shim.errors import OutcomeUnknown, Refusal, UpstreamTimeout, UpstreamUnavailable
from shim.model import Era, JsonObject
from shim.upstream.failures import Ended, NotAccepted, NotLetIn
from shim.upstream.handing import NOTHING, Handed
from shim.upstream.inbox import Watcher
from shim.upstream.legacy import Legacy
from shim.upstream.modern import Modern, ParamHeaders
from shim.upstream.probe import Probe
from shim.upstream.session import Dialect, Kind, Me, Opened, Peer, Session, Spawn

_PATIENCE = 60.0


class Opening:
    """Starts and opens them. What a session says outside of calls goes to `watcher`; `limit` bounds an answer."""

    def __init__(self, name: str, kind: Kind, watcher: Watcher, me: Me, spawn: Spawn, limit: int) -> None:
        self._name = name
        self._kind = kind
        self._watcher = watcher
        self._me = me
        self._spawn = spawn
        self._probe = Probe(name, me, _PATIENCE, limit)
        self._mirrored = ParamHeaders() if kind.over_http else None

    @property
    def over_http(self) -> bool:
        return self._kind.over_http

    @property
    def rests(self) -> bool:
        """See `Kind.rests`."""
        return self._kind.rests

    async def open(self, handed: Handed, era: Era | None, capabilities: JsonObject | None = None) -> Opened:
        """A session with these secrets and no others; `era` as far as it is known.

        `capabilities` is what a legacy upstream may ask of the client in it. Raises UpstreamUnavailable: nothing of a
        call has been sent by then.
        """
        session = await self._kind.start(self._watcher, handed)
        try:
            return await self._open(session, era, capabilities or {})
        except BaseException as error:
            self._spawn(session.close)
            if isinstance(error, Refusal):
                raise self._unavailable(session, error) from None
            raise

    async def without_state(self, peer: Peer) -> Opened:
        """A session that needs no opening, and has no credentials of its own: with a peer that keeps nothing either."""
        session = await self._kind.start(self._watcher, NOTHING)
        return self._opened(session, peer)

    async def _open(self, session: Session, era: Era | None, capabilities: JsonObject) -> Opened:
        peer = await self._probe.peer(session, era, capabilities)
        opened = self._opened(session, peer)
        if peer.era == "legacy":
            await session.notify("notifications/initialized")
        await session.opened()
        return opened

    def _opened(self, session: Session, peer: Peer) -> Opened:
        session.peer, session.inbox.era = peer, peer.era
        dialect: Dialect = (
            Legacy(session, peer) if peer.era == "legacy" else Modern(session, peer, self._me, self._mirrored)
        )
        return Opened(session, peer, dialect)

    def _unavailable(self, session: Session, refusal: Refusal) -> UpstreamUnavailable:
        match refusal:
            case UpstreamUnavailable():
                return refusal
            case UpstreamTimeout():
                return Ended(self._name, f"it did not answer within {_PATIENCE:g} s", session.said)
            case OutcomeUnknown():
                why = "it ended the connection before it was open" if session.alive else session.why
                return Ended(self._name, why, session.said)
            case NotAccepted():
                return NotLetIn(str(refusal))
            case _:
                return UpstreamUnavailable(str(refusal))
