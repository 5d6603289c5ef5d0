"""The response to a request of a legacy session, kept so that it can be read on from where a connection broke."""

from __future__ import annotations

import anyio

from shim.server.exchange import Event, Exchange, Send
from shim.server.replay import Replays, Track
from shim.server.sessions import Session

_STREAM = b"text/event-stream"


class Tracked:
    """What the SDK writes to and hears from in the place of the connection, of whose end it does not hear.

    What it writes goes on to `sending`.

    Each event gets an id and is kept; the first says only where the stream begins (MCP 2025-11-25, "Sending Messages to
    the Server"), if the client can read that. Use it as a context manager around what the SDK does.
    """

    def __init__(
        self, exchange: Exchange, sending: Send, session: Session, replays: Replays, stream: str, *, primed: bool
    ) -> None:
        self._exchange = exchange
        self._sending = sending
        self._session = session
        self._replays = replays
        self._stream = stream
        self._primed = primed
        self._track: Track | None = None
        self._attached = True

    async def receive(self) -> Event:
        event = await self._exchange.receive()
        if event["type"] == "http.disconnect":
            self._attached = False
            # The call goes on; whoever waits here is cancelled when it has its answer.
            await anyio.sleep_forever()
        return event

    async def send(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            await self._start(event)
            return
        track, body = self._track, event.get("body", b"")
        if track is not None and body.startswith(b"event:"):
            body = self._id(track, track.last + 1) + body
            track.add(body)
            event = {**event, "body": body}
        await self._pass(event)

    async def _start(self, event: Event) -> None:
        if any(name == b"content-type" and value.startswith(_STREAM) for name, value in event["headers"]):
            self._track = self._replays.begin(self._session.token, self._stream)
            self._track.take(None, self._detach)
        await self._pass(event)
        if self._track is not None and self._primed:
            beginning = self._id(self._track, 0) + b"data: \r\n\r\n"
            await self._pass({"type": "http.response.body", "body": beginning, "more_body": True})

    async def _pass(self, event: Event) -> None:
        if self._attached:
            await self._sending(event)

    def _id(self, track: Track, number: int) -> bytes:
        return b"id: " + self._session.event_id(track.name, number).encode("ascii") + b"\r\n"

    def _detach(self) -> None:
        # The client reads it on another connection now: this one is of no use to it any more.
        self._attached = False
        self._exchange.abort()

    def __enter__(self) -> Tracked:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._track is None:
            return
        self._track.leave(self._detach)
        if kind is None and not self._session.ended:
            self._replays.end(self._track)
        else:
            self._replays.discard(self._track)
