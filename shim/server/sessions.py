"""The sessions of legacy clients: what each said of itself, what it knows, and what it has still to be told."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.lowlevel
from mcp_types import INVALID_PARAMS

from shim import jsontext
from shim.errors import ProtocolError
from shim.generation import Current
from shim.model import Client, Identity, JsonObject
from shim.server import _sdk
from shim.server.outbox import Outbox
from shim.server.watched import Watched
from shim.views import Digests

DELIVERY_SECONDS = 30.0
"""How long the last notices of a call, or a notice over stdio, wait for a client that does not read."""

NOTICES = "0"
"""The name of the stream of a session's notices."""

_UPDATED = "notifications/resources/updated"
_EVENT_ID = re.compile(r"([0-9a-f]{16})\.(0|[0-9a-f]{12})\.([0-9]{1,15})", re.ASCII)


@dataclass(slots=True, eq=False)
class Session:
    """What a legacy client said on this connection, and the lists it knows.

    `id` is that of a session over HTTP, None over stdio. `token` is in the ids of its events, so that no other
    session's id is ever taken for one of its own; nobody can guess it.
    """

    connection: _sdk.Connection
    identity: Identity
    client: Client | None
    seen: Digests | None
    capabilities: JsonObject
    level: str | None = None
    """The least severity of log messages that its client wants; None: it did not say."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    outbox: Outbox = field(default_factory=Outbox)
    watched: Watched = field(default_factory=Watched)
    """The resources that its client subscribes to."""
    ended: bool = False
    end_stream: Callable[[], None] | None = None
    """Ends the stream of its notices that is open now, if any."""

    @property
    def id(self) -> str | None:
        return self.connection.session_id

    def unsubscribe(self, params: JsonObject) -> None:
        """Be told no more of a resource. Raises ProtocolError for params without a URI; says not what there was."""
        uri = params.get("uri")
        if not isinstance(uri, str):
            raise ProtocolError(INVALID_PARAMS, "Invalid params: uri must be a string")
        self.watched.leave(uri)
        self.outbox.forget((_UPDATED, uri))

    def event_id(self, stream: str, number: int) -> str:
        """The id of an event on one of the session's streams."""
        return f"{self.token}.{stream}.{number}"

    def event(self, id_: str) -> tuple[str, int] | None:
        """(stream, number) of an event with this id, None where it is not one of this session's."""
        match = _EVENT_ID.fullmatch(id_)
        if match is None or not secrets.compare_digest(match[1], self.token):
            return None
        return match[2], int(match[3])


def stream_of(request: str | int) -> str:
    """The name of the stream of a request, by its id: no two requests of a session have the same one."""
    return hashlib.sha256(jsontext.dump(request)).hexdigest()[:12]


class Sessions:
    """Owns the sessions that are open. `on_end` is told of each that ended."""

    def __init__(self, current: Current, on_end: Callable[[Session], None] = lambda _: None) -> None:
        self._current = current
        self._on_end = on_end
        self._open: dict[_sdk.Connection, Session] = {}
        self._named: dict[str, Session] = {}
        self._telling: set[Session] = set()
        self._bell = anyio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def open(
        self, connection: _sdk.Connection, identity: Identity, client: Client | None, declared: JsonObject
    ) -> Session:
        """A session that begins now, or that its client begins anew. It ends with the connection."""
        # By what is in force now, not when the handshake came: of what changes from here on it is told.
        seen = self._current.seen_as(identity)
        session = self._open.get(connection)
        if session is not None:
            session.client, session.seen, session.level = client, seen, None
            session.capabilities = declared
            return session
        session = Session(connection, identity, client, seen, declared)
        connection.exit_stack.callback(self._end, connection)
        self._open[connection] = session
        session.watched.tell = partial(self._updated, session)
        if session.id is None:
            session.outbox.watch(self._ring)
        else:
            self._named[session.id] = session
        return session

    def of(self, connection: _sdk.Connection) -> Session | None:
        """The session of a connection, once its handshake was answered."""
        return self._open.get(connection)

    def named(self, id_: str | None, identity: str) -> Session | None:
        """The session over HTTP of that id, if it is this identity's: to another it does not exist."""
        session = self._named.get(id_) if id_ is not None else None
        return session if session is not None and session.identity.name == identity else None

    def count(self, identity: str) -> int:
        """How many sessions an identity has open."""
        return sum(session.identity.name == identity for session in self._open.values())

    async def announce(self) -> None:
        """Tell each session when what its owner may see has changed. Runs until it is cancelled.

        Over stdio it is told at once; over HTTP when it has a stream open.
        """
        end = self._current.watch(self._ring)
        try:
            async with anyio.create_task_group() as group:
                while True:
                    await self._bell.wait()
                    self._bell = anyio.Event()
                    for session in tuple(self._open.values()):
                        self._look(session)
                        if session.id is None and session not in self._telling:
                            self._telling.add(session)
                            group.start_soon(self._tell, session)
                        # There may be thousands, each with a view of its own to compute.
                        await anyio.lowlevel.checkpoint()
        finally:
            end()

    def _look(self, session: Session) -> None:
        now = self._current.seen_as(session.identity)
        if now is None:
            return
        for kind in now.changes(session.seen) if session.seen is not None else ():
            session.outbox.put(kind, f"notifications/{kind}/list_changed")
        session.seen = now

    async def _tell(self, session: Session) -> None:
        try:
            while notices := session.outbox.after(session.outbox.told):
                for notice in notices:
                    session.outbox.told = notice.number
                    if not notice.holds:
                        continue
                    with anyio.move_on_after(DELIVERY_SECONDS):
                        await session.connection.notify(notice.method, notice.params)
        finally:
            self._telling.discard(session)

    def _updated(self, session: Session, uri: str, ref: str) -> None:
        caller = session.watched.caller
        if caller is not None:
            may = partial(self._current.may_hear, caller, ref, uri)
            session.outbox.put((_UPDATED, uri), _UPDATED, {"uri": uri}, may)

    def _ring(self) -> None:
        self._bell.set()

    def _end(self, connection: _sdk.Connection) -> None:
        session = self._open.pop(connection)
        session.ended = True
        session.watched.close()
        if session.id is not None:
            del self._named[session.id]
        if session.end_stream is not None:
            session.end_stream()
        self._on_end(session)
