"""What an upstream asks for in a task that works on: the same questions as in a call, by other means.

They come with the state of the task, and the client answers them by another request. What may not be asked is answered
by the shim, where there is a word for that, and not shown.

Source: extension io.modelcontextprotocol/tasks, "Task Update Requests".
"""

from __future__ import annotations

from dataclasses import replace

from shim.errors import Unanswered
from shim.extensions import UPDATE
from shim.model import Json, JsonObject, Reply
from shim.upstream.exchange import Ask
from shim.upstream.failures import fault
from shim.upstream.questions import Asker, instead, objection
from shim.upstream.session import Session

_AT_ONCE = 16


class OfTask:
    """One look at a task: `ask` is the request for its state, in this session."""

    def __init__(self, asker: Asker, session: Session, ask: Ask) -> None:
        self._asker = asker
        self._session = session
        self._ask = ask

    async def state(self) -> Reply:
        """The task's state with the questions that the client may be asked. Raises the Refusals.

        Unanswered where the client cannot be asked, and there is no way to tell that to the upstream.
        """
        reply = await self._session.request(self._ask)
        requests = reply.result.get("inputRequests") if reply.result is not None else None
        if reply.result is None or not requests:
            return reply
        kept, declined = await self._sorted(requests)
        if declined:
            await self._session.request(self._decline(declined))
        told = {key: value for key, value in reply.result.items() if key != "inputRequests"}
        if kept:
            told["inputRequests"] = kept
        elif told.get("status") == "input_required":
            told["status"] = "working"
        return replace(reply, result=told)

    async def _sorted(self, requests: Json) -> tuple[JsonObject, JsonObject]:
        """What the client is asked; and what the shim answers in its place."""
        kept: JsonObject = {}
        declined: JsonObject = {}
        if not isinstance(requests, dict) or len(requests) > _AT_ONCE:
            raise self._malformed()
        for key, request in requests.items():
            if not isinstance(request, dict) or not isinstance(request.get("method"), str):
                raise self._malformed()
            question = self._asker.question(request, key)
            error = objection(self._asker.capabilities, question)
            if error is None:
                if not await self._asker.may_go(question):
                    raise Unanswered("What the task asks for could not be recorded; try again later.")
                kept[key] = question.request
                continue
            self._asker.refuse(question, str(error["message"]))
            answer = instead(question.method, "decline", "it is not allowed here").result
            if answer is None:
                raise Unanswered(
                    f"The task asks for {question.method[:100]}, which is not allowed here, and works on only with an "
                    "answer: all that can be done is to cancel it."
                )
            declined[key] = answer
        return kept, declined

    def _decline(self, declined: JsonObject) -> Ask:
        params = {**self._ask.params, "inputResponses": declined}
        return replace(self._ask, method=UPDATE, params=params)

    def _malformed(self) -> Exception:
        return fault(self._asker.upstream, "asked for input of the client in a way that is not one")
