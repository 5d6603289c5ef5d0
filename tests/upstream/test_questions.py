"""What upstreams may ask, who shares a session in which something may be asked, and what waiting for a person costs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shim.errors import RecordUnavailable
from shim.model import JsonObject, Question, Response
from shim.upstream.questions import objection
from tests.upstream.support import LEGACY, Heard, Running, running, stdio, text

CAPABLE: JsonObject = {"elicitation": {}, "sampling": {}, "roots": {"listChanged": True}}
ALL = ("elicitation", "sampling", "roots")
ELICIT = {"method": "elicitation/create"}


class Answering(Heard):
    """A client that answers everything with one value, after a while if it is given one."""

    def __init__(self, value: str = "yes", after: float = 0.0) -> None:
        super().__init__()
        self.value = value
        self.after = after
        self.asked: list[str] = []
        self.withdrawn = 0

    async def ask(self, question: Question) -> Response:
        self.asked.append(question.method)
        try:
            await asyncio.sleep(self.after)
        except asyncio.CancelledError:
            self.withdrawn += 1
            raise
        return Response({"action": "accept", "content": {"v": self.value}})


async def asks(run: Running, heard: Heard, **more: Any) -> Any:
    """What the upstream is answered when it asks for an elicitation."""
    options: dict[str, Any] = {"may_ask": ALL, "capabilities": CAPABLE, **more}
    return json.loads(text(await run.call("odd", "asks", ELICIT, heard=heard, **options)))


async def pid(run: Running, **more: Any) -> int:
    options: dict[str, Any] = {"may_ask": ALL, "capabilities": CAPABLE, **more}
    found: int = json.loads(text(await run.call("odd", "env", {}, **options)))["pid"]
    return found


@pytest.mark.parametrize(
    ("capabilities", "method", "params", "code"),
    [
        ({}, "elicitation/create", {}, -32601),
        ({}, "roots/list", {}, -32601),
        ({"sampling": {}}, "elicitation/create", {}, -32601),
        ({"elicitation": {}}, "tasks/list", {}, -32601),
        ({"elicitation": {}}, "elicitation/create", {}, None),
        ({"elicitation": {}}, "elicitation/create", {"mode": "form"}, None),
        ({"elicitation": {}}, "elicitation/create", {"mode": "url"}, -32602),
        ({"elicitation": {"url": {}}}, "elicitation/create", {"mode": "url"}, None),
        ({"elicitation": {"url": {}}}, "elicitation/create", {}, -32602),
        ({"elicitation": {"form": {}, "url": {}}}, "elicitation/create", {"mode": ["url"]}, -32602),
        ({"sampling": {}}, "sampling/createMessage", {"tools": None}, None),
        ({"sampling": {}}, "sampling/createMessage", {"tools": []}, -32602),
        ({"sampling": {"tools": {}}}, "sampling/createMessage", {"tools": []}, None),
        ({"roots": {}}, "roots/list", {}, None),
    ],
)
def test_what_may_not_be_asked_gets_the_error_of_the_protocol(
    capabilities: JsonObject, method: str, params: JsonObject, code: int | None
) -> None:
    error = objection(capabilities, Question({"method": method, "params": params}, 1))
    assert (error and error["code"]) == code


@pytest.mark.parametrize(
    ("may_ask", "capabilities"), [((), CAPABLE), (("sampling",), CAPABLE), (ALL, {}), (ALL, {"elicitation": True})]
)
async def test_what_the_client_does_not_declare_or_the_grant_does_not_allow_is_not_asked(
    may_ask: tuple[str, ...], capabilities: JsonObject
) -> None:
    heard = Answering()
    async with running({"odd": stdio(era="legacy")}) as run:
        answers = await asks(run, heard, may_ask=may_ask, capabilities=capabilities)
        assert answers == [-32601]
        await run.until(lambda: bool(run.events))
    assert heard.asked == []
    kind, body, invocation = run.events[0]
    assert (kind, body["method"], invocation) == ("upstream.refused", "elicitation/create", "inv-asks")


async def test_one_call_at_a_time_has_a_session_of_a_modern_client_and_the_next_takes_an_idle_one() -> None:
    together = asyncio.Barrier(3)

    class Together(Answering):
        async def ask(self, question: Question) -> Response:
            await together.wait()
            return await super().ask(question)

    async with running({"odd": stdio(era="legacy")}) as run:
        # three that are all asked before any is answered: each process has heard one answer
        found = await asyncio.gather(*(asks(run, Together()) for _ in range(3)))
        assert [len(answers) for answers in found] == [1, 1, 1]
        # when there are idle ones, then no other is begun
        assert len(await asks(run, Answering())) == 2
        # those of whom nothing may be asked share another, and another identity has its own
        processes = {await pid(run), await pid(run, may_ask=()), await pid(run, identity="bob")}
        assert len(processes) == 3


async def test_each_session_of_a_legacy_client_has_a_session_of_its_own_for_all_its_calls() -> None:
    async with running({"odd": stdio(era="legacy", isolation="shared")}) as run:
        mine = {"protocol": LEGACY, "session": "s1"}
        found = await asyncio.gather(*(pid(run, **mine) for _ in range(3)))
        other = await pid(run, protocol=LEGACY, session="s2")
        less = await pid(run, **mine, may_ask=("roots",))
    assert len(set(found)) == 1
    assert len({found[0], other, less}) == 3


async def test_a_session_whose_call_was_left_is_not_lent_again() -> None:
    reached = asyncio.Event()

    class Leaving(Answering):
        async def ask(self, question: Question) -> Response:
            reached.set()
            return await super().ask(question)

    heard = Leaving(after=30)
    async with running({"odd": stdio(era="legacy")}) as run:
        before = await pid(run)
        left = asyncio.create_task(asks(run, heard))
        await reached.wait()
        left.cancel()
        await asyncio.wait([left])
        assert await pid(run) != before
    assert heard.withdrawn == 1


async def test_while_a_person_thinks_the_upstream_does_not_run_out_of_time() -> None:
    heard = Answering(after=1.0)
    async with running({"odd": stdio(era="legacy", timeout="500ms")}) as run:
        answers = await asks(run, heard)
    assert answers == [{"action": "accept", "content": {"v": "yes"}}]


async def test_who_does_not_answer_in_time_is_taken_to_have_dismissed_it() -> None:
    heard = Answering(after=30)
    async with running({"odd": stdio(era="legacy", answer_within="200ms")}) as run:
        assert await asks(run, heard) == [{"action": "cancel"}]
        kinds = [(kind, body.get("action"), body.get("why")) for kind, body, _ in run.events]
    assert kinds == [("upstream.asked", None, None), ("upstream.answered", "none", "no answer came within 0.2 s")]
    assert heard.withdrawn == 1


async def test_nothing_is_asked_that_cannot_be_recorded() -> None:
    heard = Answering()

    async def fails(kind: str, body: JsonObject, invocation: str | None) -> None:
        raise RecordUnavailable("the store is down")

    async with running({"odd": stdio(era="legacy")}, on_event=fails) as run:
        assert await asks(run, heard) == [{"action": "cancel"}]
    assert heard.asked == []


async def test_a_hundred_identities_get_their_own_answers_within_the_cap() -> None:
    names = [f"person-{number}" for number in range(100)]
    async with running({"odd": stdio(era="legacy", pool={"max": 8})}) as run:
        found = await asyncio.gather(*(asks(run, Answering(name), identity=name) for name in names))
    assert [answers[-1]["content"]["v"] for answers in found] == names
