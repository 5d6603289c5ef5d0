"""A legacy client's streams, written by us: that of its session's notices, and those of calls that it takes up again.

The streams of a session's notices live for hours: they are pinged, they end with their session, with the credential of
whoever opened them and with the process, and a client that opens another in its place takes up where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import anyio

from shim import jsontext
from shim.model import JsonObject
from shim.server.bell import Bell
from shim.server.beside import Beside
from shim.server.exchange import Exchange
from shim.server.replay import Track
from shim.server.sessions import NOTICES, Session
from shim.server.shapes import encodable

PRIMED_SINCE = "2025-11-25"
"""Earlier clients cannot read an event without data."""

Over: TypeAlias = Callable[[], bool]
"""Tells whether a stream has to end, for a reason that is not its own."""

Pause: TypeAlias = Callable[[], float]
"""After how many seconds at most that is to be asked again."""


def is_primed(protocol: str | None) -> bool:
    """Whether a client of this revision is told at once where a stream begins (the revisions sort as text)."""
    return protocol is not None and protocol >= PRIMED_SINCE


async def notices(
    exchange: Exchange, session: Session, after: int, bell: Bell, over: Over, ping: float, pause: Pause
) -> None:
    """Write a session's notices after the one of that number, until `over`; `bell` rings when that may have changed."""
    outbox = session.outbox
    with _only(session, bell) as replaced, anyio.CancelScope() as scope:
        async with Beside() as beside:
            unwatch = outbox.watch(bell.ring)
            try:
                await exchange.begin([(b"mcp-session-id", (session.id or "").encode())])
                if is_primed(exchange.headers.text(b"mcp-protocol-version")):
                    await exchange.event(b"", session.event_id(NOTICES, after))
                beside.start(exchange.watch, scope, ping)
                while not (session.ended or replaced() or over()):
                    for notice in outbox.after(after):
                        after = notice.number
                        if notice.holds:
                            data = _encoded(notice.method, notice.params)
                            await exchange.event(data, session.event_id(NOTICES, after))
                        outbox.told = max(outbox.told, after)
                    # Not by its last number: that notice may have been taken back.
                    if not outbox.after(after):
                        await bell.wait(pause())
            finally:
                unwatch()
    await exchange.end()


async def again(
    exchange: Exchange, session: Session, track: Track, after: int, bell: Bell, over: Over, ping: float, pause: Pause
) -> None:
    """Write what was written on the stream of a call after the event of that number, and what comes, until it ends."""
    taken = False

    def release() -> None:
        nonlocal taken
        taken = True
        bell.ring()

    with anyio.CancelScope() as scope:
        async with Beside() as beside:
            track.take(bell.ring, release)
            try:
                await exchange.begin([(b"mcp-session-id", (session.id or "").encode())])
                beside.start(exchange.watch, scope, ping)
                while not (taken or over()) and (events := track.after(after)) is not None:
                    for number, event in events:
                        await exchange.piece(event)
                        after = number
                    if track.last <= after:
                        if track.ended:
                            break
                        await bell.wait(pause())
            finally:
                track.leave(release)
    await exchange.end()


@contextmanager
def _only(session: Session, bell: Bell) -> Iterator[Callable[[], bool]]:
    """Make this the one stream of a session's notices, the one before it ending; tells whether another took its place.

    A client whose connection broke may be back before that is noticed here; and what is told twice at once would be
    told on two streams.
    """
    if session.end_stream is not None:
        session.end_stream()
    session.end_stream = mine = bell.ring
    try:
        yield lambda: session.end_stream is not mine
    finally:
        if session.end_stream is mine:
            session.end_stream = None


def _encoded(method: str, params: JsonObject | None) -> bytes:
    message: JsonObject = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    return jsontext.dump(encodable(message))
