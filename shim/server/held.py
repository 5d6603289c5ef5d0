"""One held call: its questions, the rounds in which a modern client gets them, and what it answers.

Source: specification 2026-07-28, basic/patterns/mrtr.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from shim.errors import Unanswered
from shim.model import Answer, JsonObject, Listener, Offered, Question, Response
from shim.server.sealing import Ticket, wrong


class Holder(Protocol):
    """Who owns the call: see `shim.server.holding`."""

    def now(self) -> float:
        """Seconds on the clock that states end by."""
        ...

    def seal(self, ticket: Ticket) -> str:
        """The state of a ticket."""
        ...

    def keep(self, held: Held) -> None:
        """Make room for a call that asks. Raises Unanswered where there is none."""
        ...


_SETTLE, _SETTLED = 0.03, 0.15
"""Seconds without another question, and at most, until those that came are put to the client together."""

_ROUNDS = 64


@dataclass(slots=True)
class _Open:
    """One request of the client that waits: for questions, or for the end of the call."""

    answer: asyncio.Future[Answer]
    listener: Listener


@dataclass(slots=True)
class _Asked:
    question: Question
    response: asyncio.Future[Response]
    until: float


class Held:
    """One call and its questions: a `Listener` that passes on to whichever request of the client is open."""

    def __init__(
        self, holder: Holder, id_: str, identity: str, scopes: frozenset[str], request: str, given: JsonObject
    ) -> None:
        self._holder = holder
        self.id = id_
        self.identity = identity
        self.scopes = scopes
        self.request = request
        self._given = dict(given)
        self.round = 0
        self.is_kept = False
        self.target: Offered | None = None
        self._open: _Open | None = None
        self._asked: dict[str, _Asked] = {}
        self._offered: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._latest = 0.0
        self._number = 0

    async def progress(self, params: JsonObject) -> None:
        if self._open is not None:
            await self._open.listener.progress(params)

    async def log(self, params: JsonObject) -> None:
        if self._open is not None:
            await self._open.listener.log(params)

    async def completed(self, params: JsonObject) -> None:
        """Nothing: a modern client finds that out by its next request."""

    async def ask(self, question: Question) -> Response:
        """See `Listener`. The client can be asked as long as it has a request open, or a round to answer."""
        if self._open is None and not self._offered:
            raise Unanswered("the client did not come back")
        if self.round >= _ROUNDS:
            raise Unanswered("the client was asked too often in this call")
        if question.key in self._given:
            # Once: who asks again under the same name does not take it.
            return Response(self._given.pop(question.key))
        self._holder.keep(self)
        loop = asyncio.get_running_loop()
        key = self._key(question)
        asked = _Asked(question, loop.create_future(), self._holder.now() + question.within)
        self._asked[key] = asked
        self._settle()
        try:
            return await asked.response
        finally:
            del self._asked[key]
            self._offered.discard(key)

    @property
    def _waiting(self) -> dict[str, _Asked]:
        return {key: asked for key, asked in self._asked.items() if not asked.response.done()}

    def _key(self, question: Question) -> str:
        key = question.key
        while key is None or key in self._asked:
            self._number += 1
            key = f"question-{self._number}"
        return key

    def _settle(self) -> None:
        """Put what is asked to the client in a moment: what is asked in parallel comes in together."""
        if self._open is None:
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        else:
            self._latest = loop.time() + _SETTLED
        self._timer = loop.call_at(min(loop.time() + _SETTLE, self._latest), self._offer)

    def _offer(self) -> None:
        self._timer = None
        waiting = self._waiting
        if self._open is None or not waiting:
            return
        self.round += 1
        self._offered = set(waiting)
        until = max(asked.until for asked in waiting.values())
        state = self._holder.seal(Ticket(self.id, self.round, self.identity, self.request, until))
        result: JsonObject = {
            "resultType": "input_required",
            "inputRequests": {key: asked.question.request for key, asked in waiting.items()},
            "requestState": state,
        }
        self._close(Answer(result))

    def take(self, ticket: Ticket, inputs: JsonObject) -> None:
        """The client's answers to one round; what it left out is asked again. Raises ProtocolError: none is."""
        if ticket.round != self.round or self._open is not None:
            raise wrong("it was used already")
        if not self._offered:
            raise wrong("it came too late, and the question was withdrawn")
        offered, self._offered = self._offered, set()
        for key in offered & inputs.keys():
            # One that was withdrawn just now may not have been taken out yet.
            if not (response := self._asked[key].response).done():
                response.set_result(Response(inputs[key]))

    async def answered(self, listener: Listener) -> Answer:
        """What one request of the client gets: the next questions, or the end. Cancelling cancels the call."""
        self._open = _Open(asyncio.get_running_loop().create_future(), listener)
        if self._waiting:
            self._settle()
        return await self._open.answer

    def end(self, answer: Answer | Exception) -> None:
        """The call is over: whoever waits is told, and nobody else can be."""
        if self._timer is not None:
            self._timer.cancel()
        self._offered.clear()
        self._close(answer)

    def _close(self, answer: Answer | Exception) -> None:
        if self._open is not None and not self._open.answer.done():
            if isinstance(answer, Answer):
                self._open.answer.set_result(answer)
            else:
                self._open.answer.set_exception(answer)
        self._open = None
