"""One call of an upstream that wants something of the client first: it is asked, and the call goes out again.

That is the only repeat that there is, as it is the upstream's own wish: it has answered that it did not go on. A modern
upstream says so with `input_required`; a legacy one with the error -32042, once a person has been to a URL.

Source: specification 2026-07-28, basic/patterns/mrtr; 2025-11-25, client/elicitation ("URL Elicitation Required
Error").
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from shim.errors import Unanswered
from shim.model import Era, Json, JsonObject, Question, Reply, Response
from shim.upstream.exchange import Ask
from shim.upstream.failures import fault
from shim.upstream.inbox import Inbox
from shim.upstream.questions import ELICIT, Asker, instead, objection

URL_ELICITATION_REQUIRED = -32042
"""A code of the revision 2025-11-25 alone."""

MOST = 16
"""Rounds of one call; SDK clients stop after ten."""

_AT_ONCE = 16
_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_COMPLETION = 10.0
"""Seconds that a legacy upstream has to say that a person is done at a URL; many never say so."""


class Rounds:
    """The rounds of one call, in one session whose messages `inbox` sorts."""

    def __init__(self, asker: Asker, era: Era, inbox: Inbox) -> None:
        self._asker = asker
        self._era = era
        self._inbox = inbox
        self._pause = _PAUSE

    async def run(self, request: Callable[[Ask], Awaitable[Reply]], ask: Ask) -> Reply:
        """The final answer. Raises the Refusals; Unanswered where the upstream cannot go on without the client."""
        for _ in range(MOST):
            reply = await request(ask)
            if self._era == "modern" and reply.result is not None:
                if reply.result.get("resultType") != "input_required":
                    return reply
                ask = await self._with_inputs(ask, reply.result)
            elif self._era == "legacy" and is_url_required(reply):
                if not self._asker.of_a_modern_client:
                    return await self._passed_on(reply)
                await self._visited(reply)
            else:
                return reply
        raise fault(self._asker.upstream, f"asked for more of the client in each of {MOST} rounds")

    async def _with_inputs(self, ask: Ask, result: JsonObject) -> Ask:
        """The same request with what the upstream asked for, and its state as it gave it."""
        requests, state = result.get("inputRequests"), result.get("requestState")
        if not isinstance(state, str | None) or (not requests and state is None):
            raise self._malformed()
        params = {key: value for key, value in ask.params.items() if key not in ("inputResponses", "requestState")}
        if requests:
            params["inputResponses"] = await self._inputs(requests)
            self._pause = _PAUSE
        else:
            # Nothing is asked of anybody: the upstream only wants the call later.
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if state is not None:
            params["requestState"] = state
        return replace(ask, params=params)

    async def _inputs(self, requests: Json) -> JsonObject:
        if not isinstance(requests, dict) or len(requests) > _AT_ONCE:
            raise self._malformed()
        questions = []
        for key, request in requests.items():
            if not isinstance(request, dict) or not isinstance(request.get("method"), str):
                raise self._malformed()
            questions.append(self._asker.question(request, key))
        responses = await self._responses(questions)
        inputs: JsonObject = {}
        for question, response in zip(questions, responses, strict=True):
            if response.result is None:
                # Inputs cannot carry an error.
                why = str((response.error or {}).get("message"))[:200]
                raise Unanswered(
                    f"The upstream {self._asker.upstream} asked for {question.method[:100]} and got no answer, so the "
                    f"call did not go on: {why}"
                )
            inputs[str(question.key)] = response.result
        return inputs

    async def _responses(self, questions: list[Question]) -> list[Response]:
        """What each is answered; all are asked at once."""
        async with asyncio.TaskGroup() as group:
            work = [group.create_task(self._response(question)) for question in questions]
        return [one.result() for one in work]

    async def _response(self, question: Question) -> Response:
        error = objection(self._asker.capabilities, question)
        if error is not None:
            self._asker.refuse(question, str(error["message"]))
            return instead(question.method, "decline", "it is not allowed here")
        answer = await self._asker.ask(question)
        return instead(question.method, "cancel", answer) if isinstance(answer, str) else answer

    async def _passed_on(self, reply: Reply) -> Reply:
        """A legacy client knows this error itself; what it hears of the URLs later is passed on, too."""
        for params in self._urls(reply):
            if not await self._asker.may_go(Question({"method": ELICIT, "params": params}, 0)):
                raise Unanswered(f"What the upstream {self._asker.upstream} asks for could not be recorded.")
            self._inbox.watch(params.get("elicitationId"), self._asker.completed)
        return reply

    async def _visited(self, reply: Reply) -> None:
        """Have a person go to each URL; return once the upstream says that they are done, or after a while."""
        questions, done = [], []
        for params in self._urls(reply):
            event = asyncio.Event()
            self._inbox.watch(params.get("elicitationId"), lambda _, event=event: event.set())  # type: ignore[misc]
            questions.append(self._asker.question({"method": ELICIT, "params": params}))
            done.append(event)
        for response in await self._responses(questions):
            action = (response.result or {}).get("action")
            if action != "accept":
                raise Unanswered(
                    f"The upstream {self._asker.upstream} needs a person to open a URL before it goes on, which did "
                    f"not happen ({action or 'no answer'}): the call was not made."
                )
        try:
            async with asyncio.timeout(_COMPLETION):
                for event in done:
                    await event.wait()
        except TimeoutError:
            return

    def _urls(self, reply: Reply) -> list[JsonObject]:
        data = (reply.error or {}).get("data")
        elicitations = data.get("elicitations") if isinstance(data, dict) else None
        if not isinstance(elicitations, list) or not 0 < len(elicitations) <= _AT_ONCE:
            raise self._malformed()
        found = []
        for params in elicitations:
            if not isinstance(params, dict) or not isinstance(params.get("url"), str):
                raise self._malformed()
            question = Question({"method": ELICIT, "params": {**params, "mode": "url"}}, 0)
            error = objection(self._asker.capabilities, question)
            if error is not None:
                self._asker.refuse(question, str(error["message"]))
                raise fault(self._asker.upstream, "needs a person to open a URL, which it may not ask for here")
            found.append(question.params)
        return found

    def _malformed(self) -> Exception:
        return fault(self._asker.upstream, "asked for input of the client in a way that is not one")


def is_url_required(reply: Reply) -> bool:
    """Whether a legacy upstream wants a person to open a URL first."""
    return reply.error is not None and reply.error.get("code") == URL_ELICITATION_REQUIRED
