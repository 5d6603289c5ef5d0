"""Held calls by themselves: rounds, what a retry must be, and what is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shim.errors import ProtocolError, Unanswered
from shim.model import Answer, Caller, Credential, Identity, JsonObject, Listener, Question, Response
from shim.server.holding import Holding

CALL: JsonObject = {"name": "tool", "arguments": {"a": 1}}


class Quiet:
    """The listener of one request of the client."""

    def __init__(self) -> None:
        self.progressed: list[JsonObject] = []

    async def progress(self, params: JsonObject) -> None:
        self.progressed.append(params)

    async def log(self, params: JsonObject) -> None:
        raise AssertionError("nothing is logged here")

    async def ask(self, question: Question) -> Response:
        raise AssertionError("a modern client takes no requests")

    async def completed(self, params: JsonObject) -> None:
        raise AssertionError("a modern client takes no requests")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def caller(name: str = "alice") -> Caller:
    return Caller(Credential(Identity(name), "token"), "http", "2026-07-28", capabilities={"elicitation": {}})


def form(message: str = "m", *, within: float = 60, key: str | None = None) -> Question:
    return Question({"method": "elicitation/create", "params": {"message": message}}, within, key)


def text(answer: Answer) -> Any:
    assert answer.result is not None
    return answer.result["text"]


def state(answer: Answer) -> str:
    assert answer.result is not None
    assert answer.result["resultType"] == "input_required"
    found = answer.result["requestState"]
    assert isinstance(found, str)
    return found


def asked(answer: Answer) -> dict[str, str]:
    assert answer.result is not None
    return {key: request["params"]["message"] for key, request in answer.result["inputRequests"].items()}


async def begin(
    holding: Holding,
    run: Callable[[Listener], Awaitable[Answer]],
    who: str = "alice",
    listener: Quiet | None = None,
    given: JsonObject | None = None,
) -> Answer:
    return await holding.begin(
        caller(who), "tools/call", CALL, listener or Quiet(), None, lambda held, _: run(held), given or {}
    )


async def retry(
    holding: Holding,
    state: str | None,
    inputs: JsonObject | None = None,
    *,
    who: str = "alice",
    method: str = "tools/call",
    listener: Quiet | None = None,
    **params: Any,
) -> Answer:
    sent = {**CALL, "inputResponses": inputs or {}, **params}
    if state is not None:
        sent["requestState"] = state
    return await holding.resume(caller(who), method, sent, listener or Quiet(), None)


def yes(**answers: str) -> JsonObject:
    return {key: {"action": "accept", "content": {"v": value}} for key, value in answers.items()}


async def twice(held: Listener) -> Answer:
    first = await held.ask(form("first", key="k"))
    await held.progress({"progress": 1})
    second = await held.ask(form("second", key="k"))
    return Answer({"text": [first.result, second.result]})


async def test_rounds_are_one_call_and_each_hears_of_it_while_it_is_open() -> None:
    holding, first, second = Holding(), Quiet(), Quiet()
    async with holding.running():
        one = await begin(holding, twice, listener=first)
        assert asked(one) == {"k": "first"}
        two = await retry(holding, state(one), yes(k="1"), listener=second)
        assert asked(two) == {"k": "second"}
        done = await retry(holding, state(two), yes(k="2"))
    assert [answer["content"]["v"] for answer in text(done)] == ["1", "2"]
    assert (first.progressed, second.progressed) == ([], [{"progress": 1}])


async def test_what_is_asked_in_parallel_comes_together_and_what_is_left_out_comes_again() -> None:
    async def run(held: Listener) -> Answer:
        answers = await asyncio.gather(held.ask(form("a")), held.ask(form("b")))
        return Answer({"text": [answer.result for answer in answers]})

    holding = Holding()
    async with holding.running():
        one = await begin(holding, run)
        assert asked(one) == {"question-1": "a", "question-2": "b"}
        two = await retry(holding, state(one), {**yes(**{"question-2": "B"}), "unknown": {}})
        assert asked(two) == {"question-1": "a"}
        done = await retry(holding, state(two), yes(**{"question-1": "A"}))
    assert [answer["content"]["v"] for answer in text(done)] == ["A", "B"]


async def test_an_answer_that_meets_the_withdrawal_of_its_question_spoils_nothing() -> None:
    questions: list[asyncio.Task[Response]] = []

    async def run(held: Listener) -> Answer:
        questions.append(asyncio.ensure_future(held.ask(form(key="k"))))
        await asyncio.wait(questions)
        return Answer({"text": questions[0].cancelled()})

    holding = Holding()
    async with holding.running():
        one = await begin(holding, run)
        # when the question is withdrawn, and the answer comes before anything else could run
        questions[0].cancel()
        done = await retry(holding, state(one), yes(k="late"))
    assert text(done) is True


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"who": "mallory"}, "somebody else"),
    ({"arguments": {"a": 2}}, "another request"),
    ({"name": "other"}, "another request"),
    ({"method": "prompts/get"}, "another request"),
    ({"state": None}, "must be a string"),
    ({"state": 7}, "must be a string"),
    ({"state": "made-up"}, "not one that this server gave"),
    ({"state": ""}, "not one that this server gave"),
    ({"state": "x" * 5000}, "not one that this server gave"),
    ({"inputResponses": []}, "must be an object of objects"),
    ({"inputResponses": {"k": "yes"}}, "must be an object of objects"),
]


@pytest.mark.parametrize(("change", "why"), WRONG)
async def test_a_retry_that_is_not_the_same_request_is_refused_and_spoils_nothing(
    change: dict[str, Any], why: str
) -> None:
    runs = 0

    async def run(held: Listener) -> Answer:
        nonlocal runs
        runs += 1
        return Answer({"text": (await held.ask(form(key="k"))).result})

    holding = Holding()
    async with holding.running():
        one = await begin(holding, run)
        sent: dict[str, Any] = {"state": state(one), "inputs": yes(k="wrong"), **change}
        with pytest.raises(ProtocolError, match=why) as refused:
            await retry(holding, **sent)
        assert refused.value.code == -32602
        done = await retry(holding, state(one), yes(k="right"), _meta={"progressToken": "another"})
    assert text(done)["content"] == {"v": "right"}
    assert runs == 1


async def test_a_token_of_fewer_scopes_than_the_one_that_began_does_not_get_the_answer() -> None:
    def scoped(*scopes: str) -> Caller:
        return Caller(Credential(Identity("alice"), "jwt", scopes=frozenset(scopes)), "http", "2026-07-28")

    async def run(held: Listener) -> Answer:
        return Answer({"text": (await held.ask(form(key="k"))).result})

    holding = Holding()
    async with holding.running():
        begun = holding.begin(scoped("read", "write"), "tools/call", CALL, Quiet(), None, lambda held, _: run(held), {})
        sent = {**CALL, "requestState": state(await begun), "inputResponses": yes(k="v")}
        with pytest.raises(ProtocolError, match="access token of more scopes"):
            await holding.resume(scoped("read"), "tools/call", sent, Quiet(), None)
        done = await holding.resume(scoped("read", "write", "new"), "tools/call", sent, Quiet(), None)
    assert text(done)["content"] == {"v": "v"}


async def test_every_changed_character_of_a_state_is_noticed() -> None:
    holding = Holding()
    async with holding.running():
        sealed = state(await begin(holding, twice))
        # The last character before the padding has bits that mean nothing.
        for place in range(len(sealed.rstrip("=")) - 1):
            changed = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :]
            with pytest.raises(ProtocolError, match="nothing was run"):
                await retry(holding, changed, yes(k="1"))
        assert asked(await retry(holding, sealed, yes(k="1"))) == {"k": "second"}


async def test_a_state_is_used_once_whether_its_call_waits_runs_or_is_over() -> None:
    going, go = asyncio.Event(), asyncio.Event()

    async def run(held: Listener) -> Answer:
        await held.ask(form(key="k"))
        going.set()
        await go.wait()
        await held.ask(form(key="k"))
        return Answer({"text": "done"})

    holding = Holding()
    async with holding.running():
        one = state(await begin(holding, run))
        taken = asyncio.create_task(retry(holding, one, yes(k="1")))
        await going.wait()
        with pytest.raises(ProtocolError, match="used already"):
            await retry(holding, one, yes(k="1"))
        go.set()
        two = state(await taken)
        with pytest.raises(ProtocolError, match="used already"):
            await retry(holding, one, yes(k="1"))
        assert text(await retry(holding, two, yes(k="2"))) == "done"
        for old in (one, two):
            with pytest.raises(ProtocolError, match="the call is over"):
                await retry(holding, old, yes(k="1"))


async def test_a_state_of_another_process_is_known_as_such() -> None:
    here, there = Holding(), Holding()
    async with here.running(), there.running():
        one = state(await begin(here, twice))
        with pytest.raises(ProtocolError, match="another process of this server"):
            await retry(there, one, yes(k="1"))


async def test_who_comes_too_late_is_refused_and_the_call_goes_on_without() -> None:
    over = asyncio.Event()
    said: list[str] = []

    async def run(held: Listener) -> Answer:
        try:
            async with asyncio.timeout(0.1):
                await held.ask(form(key="k"))
        except TimeoutError:
            said.append("nobody came")
        with pytest.raises(Unanswered, match="did not come back"):
            await held.ask(form("again"))
        over.set()
        await asyncio.Event().wait()
        return Answer()

    holding = Holding()
    async with holding.running():
        one = state(await begin(holding, run))
        await over.wait()
        with pytest.raises(ProtocolError, match="too late"):
            await retry(holding, one, yes(k="1"))
    assert said == ["nobody came"]


async def test_a_state_ends_with_the_time_that_its_questions_have() -> None:
    clock = Clock()
    holding = Holding(clock=clock)

    async def run(held: Listener) -> Answer:
        return Answer({"text": (await held.ask(form(within=30, key="k"))).result})

    async with holding.running():
        one = state(await begin(holding, run))
        clock.now += 31
        with pytest.raises(ProtocolError, match="too late"):
            await retry(holding, one, yes(k="1"))


@pytest.mark.parametrize("leaves_in", [1, 2])
async def test_a_client_that_leaves_an_open_request_cancels_the_call(leaves_in: int) -> None:
    open_, cancelled = asyncio.Event(), asyncio.Event()

    async def run(held: Listener) -> Answer:
        try:
            if leaves_in == 2:
                await held.ask(form(key="k"))
            open_.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Answer()

    holding = Holding()
    async with holding.running():
        if leaves_in == 2:
            one = state(await begin(holding, run))
            request = asyncio.create_task(retry(holding, one, yes(k="1")))
        else:
            request = asyncio.create_task(begin(holding, run))
        await open_.wait()
        request.cancel()
        await asyncio.wait_for(cancelled.wait(), 5)
        with pytest.raises(asyncio.CancelledError):
            await request


async def test_so_many_calls_of_one_identity_and_in_all_may_wait_and_no_more() -> None:
    async def run(held: Listener) -> Answer:
        try:
            return Answer({"text": (await held.ask(form(key="k"))).result})
        except Unanswered as unanswered:
            return Answer({"text": str(unanswered)})

    full = "too many calls wait for answers already"
    holding = Holding(per_identity=2, in_all=3)
    async with holding.running():
        waiting = [state(await begin(holding, run)) for _ in range(2)]
        assert text(await begin(holding, run)) == full
        state(await begin(holding, run, "bob"))
        assert text(await begin(holding, run, "carol")) == full
        # when one is over, then another may wait
        await retry(holding, waiting[0], yes(k="1"))
        state(await begin(holding, run, "carol"))


async def test_a_call_that_fails_fails_for_whoever_waits() -> None:
    async def refuses(held: Listener) -> Answer:
        await held.ask(form(key="k"))
        raise ProtocolError(-32602, "Invalid params: no")

    async def breaks(held: Listener) -> Answer:
        raise ZeroDivisionError

    holding = Holding()
    async with holding.running():
        one = state(await begin(holding, refuses))
        with pytest.raises(ProtocolError, match="Invalid params: no"):
            await retry(holding, one, yes(k="1"))
        with pytest.raises(ZeroDivisionError):
            await begin(holding, breaks)


async def test_stopping_ends_every_call_that_waits() -> None:
    ended: list[str] = []

    async def run(held: Listener) -> Answer:
        try:
            await held.ask(form(key="k"))
        finally:
            ended.append("ended")
        return Answer()

    holding = Holding()
    async with holding.running():
        for _ in range(3):
            state(await begin(holding, run))
    assert ended == ["ended"] * 3


async def test_answers_that_come_with_a_call_are_used_once_for_questions_of_their_names() -> None:
    async def run(held: Listener) -> Answer:
        first = await held.ask(form("first", key="k"))
        again, unnamed = await asyncio.gather(held.ask(form("again", key="k")), held.ask(form("unnamed")))
        return Answer({"text": [first.result, again.result, unnamed.result]})

    holding = Holding()
    async with holding.running():
        one = await begin(holding, run, given={**yes(k="1"), **yes(other="x")})
        assert asked(one) == {"k": "again", "question-1": "unnamed"}
        done = await retry(holding, state(one), yes(k="2", **{"question-1": "3"}))
    assert [answer["content"]["v"] for answer in text(done)] == ["1", "2", "3"]
