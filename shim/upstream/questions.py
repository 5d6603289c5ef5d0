"""What an upstream may ask of the client in the middle of a call, and what becomes of each of its questions.

Only what the client declares and the grant allows is asked; the shim answers everything else itself, in the words the
protocol has for it, and puts it on the record. Nothing is asked, and no answer passed on, before it is recorded.

Source: specification 2025-11-25 and 2026-07-28, client/elicitation, client/sampling, client/roots.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND
from mcp_types.methods import INPUT_REQUIRED_METHODS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from shim import jsontext
from shim.errors import RecordUnavailable, Unanswered
from shim.extensions import GET
from shim.meta import without_own
from shim.model import Call, Json, JsonObject, Listener, Question, Response
from shim.upstream.exchange import Exchange
from shim.upstream.surroundings import Surroundings

ELICIT, SAMPLE, ROOTS = "elicitation/create", "sampling/createMessage", "roots/list"

_NEEDS = {ELICIT: "elicitation", SAMPLE: "sampling", ROOTS: "roots"}
_PARTS: dict[str, tuple[str, ...]] = {"elicitation": ("form", "url"), "sampling": ("context", "tools"), "roots": ()}
_TOOLS = ("tools", "toolChoice")
_AT_ONCE = 16

Say: TypeAlias = Callable[[Response], None]
"""Sends the answer to a question upstream, without waiting."""

_log = logging.getLogger("shim.upstream")


def declared(call: Call) -> JsonObject:
    """The capabilities of the client that a call lets its upstream use: what is declared to the upstream.

    Nothing for a method in which nothing may be asked. Members that one era alone has are left out; that roots changed
    is not passed on, and so not promised.
    """
    theirs: JsonObject = call.caller.capabilities
    kept: JsonObject = {}
    if call.method not in INPUT_REQUIRED_METHODS and call.method != GET:
        return kept
    for name in call.may_ask:
        capability = theirs.get(name)
        if isinstance(capability, dict):
            kept[name] = {part: capability[part] for part in _PARTS[name] if isinstance(capability.get(part), dict)}
    return kept


def objection(capabilities: JsonObject, question: Question) -> JsonObject | None:
    """The JSON-RPC error for a question that may not be asked; None for one that may."""
    method, params = question.method, question.params
    capability = capabilities.get(_NEEDS.get(method, ""))
    if capability is None:
        return {"code": METHOD_NOT_FOUND, "message": f"{method[:100]} is not allowed here"}
    wrong = None
    if method == ELICIT:
        mode = _mode(params)
        if mode not in capability and (mode != "form" or capability):
            wrong = f"elicitation of the mode {mode!r} is not allowed here"
    elif method == SAMPLE and "tools" not in capability and any(params.get(name) is not None for name in _TOOLS):
        wrong = "sampling with tools is not allowed here"
    return {"code": INVALID_PARAMS, "message": f"Invalid params: {wrong}"} if wrong is not None else None


def instead(method: str, action: str, why: str) -> Response:
    """What an upstream gets where the client gave no answer: `action` where there are such, else an error."""
    if method == ELICIT:
        return Response({"action": action})
    return Response(error={"code": INTERNAL_ERROR, "message": f"{method} was not answered: {why}"})


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the client of one call. `capabilities` are what `declared` says of it, `within` the seconds to answer in."""

    upstream: str
    call: Call
    capabilities: JsonObject
    listener: Listener
    within: float
    around: Surroundings
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def of_a_modern_client(self) -> bool:
        return self.call.caller.protocol in MODERN_PROTOCOL_VERSIONS

    def question(self, request: JsonObject, key: str | None = None) -> Question:
        """An upstream's request, with `method` and `params`, in the words of the client's era."""
        params = request.get("params")
        if isinstance(params, dict):
            # Nobody declares that such requests can be made tasks.
            shaped = {name: value for name, value in without_own(params).items() if name != "task"}
            if request["method"] == ELICIT and _mode(shaped) == "url":
                if self.of_a_modern_client:
                    shaped.pop("elicitationId", None)
                else:
                    shaped.setdefault("elicitationId", f"{self.call.id}-{next(self.numbers)}")
            request = {**request, "params": shaped}
        return Question(request, self.within, key)

    async def ask(self, question: Question) -> Response | str:
        """The client's answer once it is on the record, or why there is none."""
        if not await self.may_go(question):
            return _UNRECORDED
        response: Response | str
        try:
            async with asyncio.timeout(question.within):
                response = await self.listener.ask(question)
        except TimeoutError:
            response = f"no answer came within {question.within:g} s"
        except Unanswered as unanswered:
            response = str(unanswered)
        how = {"action": "none", "why": response} if isinstance(response, str) else _how(response)
        return response if await self._recorded("upstream.answered", question, how) else _UNRECORDED

    async def may_go(self, question: Question) -> bool:
        """Put on the record that the client is asked, with the digest of what; false where that could not be done."""
        return await self._recorded("upstream.asked", question, {"asked_sha256": jsontext.digest(question.params)})

    def refuse(self, question: Question, why: str) -> None:
        """Put on the record that the shim did not pass a question on."""
        self.around.event("upstream.refused", {**self._body(question), "why": why}, self.call.id)

    def completed(self, params: JsonObject) -> None:
        """Tell the client that what it was asked to have done at a URL is done."""
        self.around.spawn(self.listener.completed, params)

    async def _recorded(self, kind: str, question: Question, more: JsonObject) -> bool:
        try:
            await self.around.record(kind, {**self._body(question), **more}, self.call.id)
        except RecordUnavailable:
            return False
        return True

    def _body(self, question: Question) -> JsonObject:
        body: JsonObject = {"upstream": self.upstream, "method": question.method[:100]}
        return {**body, "mode": _mode(question.params)} if question.method == ELICIT else body


class Questions:
    """The open questions of one call, each in a task of its own. An async context manager: leaving takes all back.

    Whoever reads from the upstream calls `put` and `withdraw`, which never wait.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._tasks: dict[Json, asyncio.Task[None]] = {}

    def put(self, exchange: Exchange, id_: str | int, request: JsonObject, say: Say) -> Question | None:
        """Have a request of the upstream answered by `say`; meanwhile the call of `exchange` has all the time it had.

        The question that is asked, None where the shim answers it.
        """
        question = self._asker.question(request)
        error = objection(self._asker.capabilities, question)
        if error is None and (len(self._tasks) >= _AT_ONCE or id_ in self._tasks):
            error = {"code": INTERNAL_ERROR, "message": "too many questions at once"}
        if error is not None:
            self._asker.refuse(question, str(error["message"]))
            say(Response(error=error))
            return None
        task = asyncio.get_running_loop().create_task(self._answer(exchange, question, say))
        self._tasks[id_] = task
        task.add_done_callback(lambda done: self._over(id_, done))
        return question

    def withdraw(self, id_: Json) -> None:
        """The upstream does not want to know any more."""
        task = self._tasks.get(id_) if isinstance(id_, str | int) else None
        if task is not None:
            task.cancel()

    def completed(self, params: JsonObject) -> None:
        """See `Asker`."""
        self._asker.completed(params)

    async def _answer(self, exchange: Exchange, question: Question, say: Say) -> None:
        exchange.hold()
        try:
            answer = await self._asker.ask(question)
            say(instead(question.method, "cancel", answer) if isinstance(answer, str) else answer)
        finally:
            exchange.go_on()

    def _over(self, id_: str | int, task: asyncio.Task[None]) -> None:
        self._tasks.pop(id_, None)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("a question of the upstream %s failed", self._asker.upstream, exc_info=fault)

    async def __aenter__(self) -> Questions:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


_UNRECORDED = "it could not be recorded"


def _mode(params: JsonObject) -> str:
    mode = params.get("mode", "form")
    return mode[:20] if isinstance(mode, str) else "?"


def _how(response: Response) -> JsonObject:
    if response.error is not None:
        return {"action": "error", "code": response.error.get("code")}
    action = (response.result or {}).get("action")
    return {"action": action if action in ("accept", "decline", "cancel") else "result"}
