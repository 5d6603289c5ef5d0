"""The stream that a legacy HTTP session holds open for what belongs to no call.

Source: specification 2025-11-25, basic/transports, "Listening for Messages from the Server".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from shim.errors import InvalidText
from shim.upstream.connections import NotSent
from shim.upstream.endpoint import Endpoint
from shim.upstream.inbox import Inbox, Watcher
from shim.upstream.pace import Turn
from shim.upstream.sse import Events, EventTooLong, messages
from shim.upstream.wire import Lost

_SETTLING = 2.0
_LEAST, _MOST = 1.0, 60.0
_STEADY = 30.0
_STREAM = "text/event-stream"


class StandingStream:
    """A GET that is opened again whenever it ends, until it turns out that the upstream has none.

    What an upstream sends there before it is open is lost, so the session's first call waits for `settled`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        inbox: Inbox,
        limit: int,
        headers: Callable[[], Mapping[str, str]],
        lose: Callable[[str], None],
        watcher: Watcher,
    ) -> None:
        self._endpoint = endpoint
        self._inbox = inbox
        self._events = Events(limit)
        self._turn = Turn(endpoint.pace)
        self._headers = headers
        self._lose = lose
        self._watcher = watcher
        self._settled = asyncio.Event()

    async def settled(self) -> None:
        """Return when the stream is open or known not to exist; some servers send no head before the first event."""
        try:
            async with asyncio.timeout(_SETTLING):
                await self._settled.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Listen until there is nothing to listen to."""
        wait = _LEAST
        first = True
        while True:
            began = asyncio.get_running_loop().time()
            try:
                if not await self._listen(first=first):
                    return
            except (Lost, NotSent):
                pass
            except EventTooLong:
                self._inbox.odd("an event that is too large")
                self._events.restart()
            finally:
                self._settled.set()
            first = False
            steady = asyncio.get_running_loop().time() - began > _STEADY
            wait = _LEAST if steady else min(_MOST, wait * 2)
            await asyncio.sleep(max(wait, self._events.retry or 0.0))

    async def _listen(self, *, first: bool) -> bool:
        """One GET from start to end. False when the upstream has no such stream."""
        headers = {"accept": _STREAM, **self._headers()}
        if self._events.id is not None:
            headers["last-event-id"] = self._events.id.decode("latin-1")
        connection = await self._endpoint.begin("GET", headers)
        try:
            await connection.head()
            if connection.status == 404 and not first:
                self._lose("its session had ended")
                return False
            if connection.status != 200 or not connection.headers.get("content-type", "").startswith(_STREAM):
                return connection.status >= 500
            self._settled.set()
            if not first and self._events.id is None:
                # What changed while nobody listened was not heard.
                self._watcher.lists_changed()
            self._events.restart()
            async for data in messages(connection, self._events, self._turn):
                await self._take(data)
        finally:
            connection.release(answered=False)
        return True

    async def _take(self, data: bytes) -> None:
        try:
            self._inbox.take(await self._turn.parsed(data), len(data))
        except InvalidText as error:
            self._inbox.odd(f"an event that is not a message: {error}")
