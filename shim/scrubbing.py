"""What passes from an upstream to a caller, without the values of secrets; what was found is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from shim.errors import Refusal
from shim.lending import Scrubber
from shim.model import JsonObject, Listener, Outcome, Question, Reason, Reply, Response

_LONG = 256 * 1024


class Scrubbing:
    """For one call: all that is on its way to the caller, or to the record, goes through it."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber

    async def reply(self, reply: Reply) -> Reply:
        """An upstream's answer. A long one, which may be made to be slow to read, holds up no other call."""
        if reply.size > _LONG:
            return await asyncio.to_thread(self._scrubbed, reply)
        return self._scrubbed(reply)

    def _scrubbed(self, reply: Reply) -> Reply:
        result = self._scrubber.result(reply.result) if reply.result is not None else None
        error = self._scrubber.json(reply.error) if reply.error is not None else None
        if result is reply.result and error is reply.error:
            return reply
        return replace(reply, result=result, error=error)

    def refusal(self, refusal: Refusal) -> Refusal:
        """A refusal, whose text may repeat what an upstream said."""
        text, detail = self._scrubber.text(str(refusal)), self._scrubber.text(refusal.detail)
        return refusal if (text, detail) == (str(refusal), refusal.detail) else _Said(refusal.reason, text, detail)

    def counted(self, outcome: Outcome) -> Outcome:
        """The outcome, with how many values were taken out, and of which secrets."""
        echoes = tuple((label, count) for label, count in self._scrubber.found.items() if count)
        if not echoes:
            return outcome
        return replace(outcome, redactions=outcome.redactions + sum(count for _, count in echoes), echoes=echoes)

    def listener(self, listener: Listener) -> Listener:
        """Somebody who hears the same, but for the values of secrets. A subscriber is told nothing but URIs."""
        return listener if hasattr(listener, "updated") else _Scrubbed(listener, self._scrubber)


class _Said(Refusal):
    def __init__(self, reason: Reason, text: str, detail: str) -> None:
        super().__init__(text)
        self.reason = reason
        self._detail = detail

    @property
    def detail(self) -> str:
        return self._detail


class _Scrubbed:
    """A listener behind a scrubber."""

    def __init__(self, inner: Listener, scrubber: Scrubber) -> None:
        self._inner = inner
        self._scrub: Callable[[JsonObject], JsonObject] = scrubber.json

    async def progress(self, params: JsonObject) -> None:
        await self._inner.progress(self._scrub(params))

    async def log(self, params: JsonObject) -> None:
        await self._inner.log(self._scrub(params))

    async def ask(self, question: Question) -> Response:
        return await self._inner.ask(replace(question, request=self._scrub(question.request)))

    async def completed(self, params: JsonObject) -> None:
        await self._inner.completed(self._scrub(params))
