"""What one session hears of changed resources, as long as any is wanted of it, in either era.

Source: specification 2025-11-25, server/resources ("Subscriptions"), and 2026-07-28, basic/patterns/subscriptions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup
from mcp_types import METHOD_NOT_FOUND

from shim.errors import Refusal
from shim.model import JsonObject, Reply
from shim.upstream import asking
from shim.upstream.exchange import Ask
from shim.upstream.failures import Ended
from shim.upstream.handing import Handed
from shim.upstream.inbox import ACKNOWLEDGED, UPDATED
from shim.upstream.session import Opened

SUBSCRIBE = "resources/subscribe"

ANSWERED = 30.0
"""Seconds that an upstream has to say whether it will tell."""

_LISTENING = 86_400.0
_OVERLAP = 5.0


class Hearing:
    """What one owner's session hears. `uris` tells what is wanted, `tell` is told what changed."""

    def __init__(self, name: str, limit: int, tell: Callable[[str], None], uris: Callable[[], set[str]]) -> None:
        self._name = name
        self._limit = limit
        self._tell = tell
        self._uris = uris
        self._changed = asyncio.Event()
        self._answers: dict[str, asyncio.Future[Reply]] = {}
        self._lost: Refusal | None = None
        self._log = logging.getLogger(f"shim.upstream.{name}")

    async def answer(self, uri: str) -> Reply:
        """What the upstream said to this subscription. Raises the Refusal for which it could not be asked."""
        if uri not in self._answers:
            self._answers[uri] = asyncio.get_running_loop().create_future()
            self._answers[uri].add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._answers[uri])

    def look(self) -> None:
        """Others may be wanted than before."""
        self._changed.set()

    def fail(self, refusal: Refusal) -> None:
        """Whoever still waits for an answer gets none; who had one is heard again later."""
        for uri, answer in tuple(self._answers.items()):
            if not answer.done():
                answer.set_exception(refusal)
                del self._answers[uri]

    async def keep(self, opened: Opened, handed: Handed) -> None:
        """Hear in this session until nothing is wanted. Raises the Refusal with which it was lost."""
        # What had an answer before went unheard until now.
        unheard = {uri for uri, answer in self._answers.items() if answer.done()}
        self._lost = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._notice_end, opened)
            try:
                if opened.peer.era == "legacy":
                    opened.session.inbox.heard = self._heard
                    await self._subscribe(opened, unheard)
                else:
                    await self._listen(opened, handed, unheard, group)
            except Refusal as refusal:
                self._lost = refusal
            finally:
                opened.session.inbox.heard = None
                group.cancel_scope.cancel()
        if self._lost is not None:
            raise self._lost
        if self._uris():
            raise Ended(self._name, opened.session.why, opened.session.said)

    async def _notice_end(self, opened: Opened) -> None:
        await opened.session.ended.wait()
        self._changed.set()

    async def _subscribe(self, opened: Opened, unheard: set[str]) -> None:
        known: set[str] = set()
        while opened.alive:
            self._changed.clear()
            wanted = self._uris()
            for uri in sorted(known - wanted):
                known.discard(uri)
                self._answers.pop(uri, None)
                await opened.request(self._ask(opened, "resources/unsubscribe", {"uri": uri}))
            for uri in sorted(wanted - known):
                reply = await opened.request(self._ask(opened, SUBSCRIBE, {"uri": uri}))
                if reply.error is None:
                    known.add(uri)
                self._said(uri, reply, unheard)
            if not wanted and not self._uris():
                return
            await self._changed.wait()

    async def _listen(self, opened: Opened, handed: Handed, unheard: set[str], group: TaskGroup) -> None:
        listened: frozenset[str] = frozenset()
        scope = anyio.CancelScope()
        while opened.alive and self._lost is None:
            self._changed.clear()
            wanted = frozenset(self._uris())
            for uri in listened - wanted:
                self._answers.pop(uri, None)
            if wanted != listened:
                before, scope, listened = scope, anyio.CancelScope(), wanted
                if wanted:
                    acknowledged = asyncio.Event()
                    group.start_soon(self._stream, opened, handed, wanted, unheard, scope, acknowledged)
                    # The stream before this one goes on until this one is heard: nothing falls between them.
                    with anyio.move_on_after(_OVERLAP):
                        await acknowledged.wait()
                before.cancel()
            if not wanted:
                return
            if self._lost is None:
                await self._changed.wait()

    async def _stream(
        self,
        opened: Opened,
        handed: Handed,
        uris: frozenset[str],
        unheard: set[str],
        scope: anyio.CancelScope,
        acknowledged: asyncio.Event,
    ) -> None:
        def heard(method: str, params: JsonObject) -> None:
            if method == ACKNOWLEDGED and not acknowledged.is_set():
                honoured = params.get("notifications")
                listed = honoured.get("resourceSubscriptions") if isinstance(honoured, dict) else None
                for uri in uris:
                    self._said(uri, _ACCEPTED if isinstance(listed, list) and uri in listed else _OMITTED, unheard)
                acknowledged.set()
            else:
                self._heard(method, params)

        params: JsonObject = {"notifications": {"resourceSubscriptions": sorted(uris)}}
        ask = asking.own("subscriptions/listen", params, opened.dialect, _LISTENING, self._limit)
        headers = handed.headers if opened.dialect.mirrors else {}
        with scope:
            try:
                reply = await opened.request(replace(ask, heard=heard, headers=headers))
                for uri in uris if reply.error is not None else ():
                    self._said(uri, reply, unheard)
                self._lost = Ended(self._name, "it ended the stream of its notices", None)
            except Refusal as refusal:
                self._lost = refusal
            acknowledged.set()
            self._changed.set()

    def _heard(self, method: str, params: JsonObject) -> None:
        uri = params.get("uri")
        if method == UPDATED and isinstance(uri, str):
            self._tell(uri)

    def _said(self, uri: str, reply: Reply, unheard: set[str]) -> None:
        """The upstream has answered for one URI."""
        answer = self._answers.get(uri)
        if answer is not None and not answer.done():
            answer.set_result(reply)
            if reply.error is not None:
                # Nobody has it; the next who wants it asks again.
                del self._answers[uri]
        elif answer is None and reply.error is None:
            # Wanted since before this upstream was configured as it is now.
            self._answers[uri] = asyncio.get_running_loop().create_future()
            self._answers[uri].set_result(reply)
            self._tell(uri)
        elif reply.error is not None:
            # Who had it is told no more; the next who wants it asks again.
            self._answers.pop(uri, None)
            self._log.warning(
                "it tells no more of a resource that is subscribed to (error %s)", reply.error.get("code")
            )
        elif uri in unheard:
            unheard.discard(uri)
            self._tell(uri)

    def _ask(self, opened: Opened, method: str, params: JsonObject) -> Ask:
        return asking.own(method, params, opened.dialect, ANSWERED, self._limit)


_ACCEPTED = Reply({}, None, 0)
_OMITTED = Reply(None, {"code": METHOD_NOT_FOUND, "message": "Method not found"}, 0)
