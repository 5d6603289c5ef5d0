"""What an upstream asks reaches the client and its answer comes back, whatever era either speaks, over both transports.

Four cells of the sixteen run always: each combination of eras, with the transports alternating.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from mcp import MCPError

from tests.parts.fixtures import legacy_python
from tests.promises.bridging import CALLERS, ERAS, Bridge, Person, Transport, asked_of, bridge, call, client
from tests.promises.wire import Era

__all__ = ["legacy_python"]

TRANSPORTS: tuple[Transport, ...] = ("stdio", "http")
ALWAYS = {
    ("legacy", "http", "legacy", "stdio"),
    ("modern", "stdio", "legacy", "http"),
    ("legacy", "stdio", "modern", "http"),
    ("modern", "http", "modern", "stdio"),
}
CELLS = [
    pytest.param(era, transport, f"{other}-{over}", marks=() if cell in ALWAYS else pytest.mark.soak)
    for era in ERAS
    for transport in TRANSPORTS
    for other in ERAS
    for over in TRANSPORTS
    for cell in [(era, transport, other, over)]
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, legacy_python: Path) -> Iterator[Bridge]:
    with bridge(tmp_path_factory.mktemp("bridge"), legacy_python) as made:
        yield made


def expected(tool: str, who: str, name: str) -> str:
    """What a tool answers when everything that it asked for `who` was answered by the person of this name."""
    form = f"accept:<form for {who}>"
    first = f"accept:<first for {who}>"
    answers = {
        "plain": "plain",
        "form": form,
        "url": "accept",
        "twice": f"{first}+accept:<second for {who} after {first}>",
        "both": f"accept:<left for {who}>|accept:<right for {who}>",
        "sample": f"<sample for {who}>",
        "roots": f"file:///{name}",
        "all": f"{form};<sample for {who}>;file:///{name}",
    }
    return f"{who}={answers[tool]}"


@pytest.mark.parametrize(("era", "transport", "upstream"), CELLS)
async def test_every_question_reaches_its_client_and_every_answer_its_call(
    era: Era, transport: Transport, upstream: str, made: Bridge
) -> None:
    person = Person(CALLERS[0])
    async with client(made, person, era, transport) as opened:
        for tool in ("plain", "form", "url", "twice", "both", "sample", "roots", "all"):
            who = f"{tool}-{era}-{transport}"
            assert await call(opened, upstream, tool, who) == expected(tool, who, person.name)
        prompt = await opened.get_prompt(f"{upstream}__greet", {"who": f"prompt-{era}"})
        assert getattr(prompt.messages[0].content, "text", None) == expected("form", f"prompt-{era}", person.name)
        found = await opened.read_resource(f"{upstream}://it")
        assert getattr(found.contents[0], "text", None) == expected("form", "it", person.name)
        # as many at once as there are callers, over one connection
        at_once = [f"{number}-{era}-{transport}" for number in range(10)]
        together = await asyncio.gather(*(call(opened, upstream, "twice", who) for who in at_once))
        assert together == [expected("twice", who, person.name) for who in at_once]
    # only the earlier revision names what a person does at a URL
    assert [identifier is not None for identifier in person.ids] == [era == "legacy"]


@pytest.mark.parametrize(("era", "upstream"), [("modern", "legacy-stdio"), ("legacy", "modern-http")])
async def test_ten_clients_at_once_get_no_answer_of_another(era: Era, upstream: str, made: Bridge) -> None:
    people = [Person(name) for name in CALLERS]
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(client(made, person, era, "http")) for person in people]
        calls = [call(one, upstream, "all", person.name) for one, person in zip(opened, people, strict=True)]
        found = await asyncio.gather(*calls)
    assert found == [expected("all", name, name) for name in CALLERS]
    for person in people:
        assert sorted(person.asked) == sorted(["roots", f"form for {person.name}", f"sample for {person.name}"])


@pytest.mark.parametrize("upstream", ["legacy-http", "modern-stdio"])
async def test_a_url_that_is_required_first_is_opened_and_the_call_goes_on(upstream: str, made: Bridge) -> None:
    person = Person(CALLERS[1])
    async with client(made, person, "modern", "http") as opened:
        assert await call(opened, upstream, "required", "needy") == "needy=visited"
    assert person.asked == ["visit for needy"]
    # the one repeat that there is: the upstream itself asked for it
    assert made.runs(upstream, "needy") == ["required", "required"]


@pytest.mark.parametrize(("transport", "upstream"), [("http", "legacy-stdio"), ("stdio", "legacy-http")])
async def test_a_legacy_client_is_told_when_the_url_of_a_legacy_upstream_is_done(
    transport: Transport, upstream: str, made: Bridge
) -> None:
    person, who = Person(CALLERS[3]), f"done-{transport}"
    async with client(made, person, "legacy", transport) as opened:
        assert await call(opened, upstream, "url", who) == f"{who}=accept"
        assert person.ids == [f"id-{who}"]
        async with asyncio.timeout(20):
            await person.told.wait()
        assert person.done == [f"id-{who}"]
        # that a URL comes first it knows itself, and calls again when it likes
        with pytest.raises(MCPError) as required:
            await call(opened, upstream, "required", who)
        assert required.value.error.code == -32042
        assert await call(opened, upstream, "required", who) == f"{who}=visited"


async def test_an_upstream_that_only_wants_the_call_later_gets_it_later(made: Bridge) -> None:
    person = Person(CALLERS[1])
    async with client(made, person, "legacy", "http") as opened:
        assert await call(opened, "modern-http", "later", "late") == "late=plain"
        assert "each of 16 rounds" in await call(opened, "modern-http", "endless", "endless")
    assert person.asked == ["and again"] * 16


async def test_questions_and_answers_are_on_the_record_without_what_they_say(made: Bridge) -> None:
    person = Person(CALLERS[2])
    async with client(made, person, "modern", "http") as opened:
        await call(opened, "legacy-stdio", "all", "recorded-person")
    asked, answered = asked_of(made, "upstream.asked"), asked_of(made, "upstream.answered")
    of = [body["of"] for body in asked if body["upstream"] == "legacy-stdio"][-1]
    methods = ["elicitation/create", "sampling/createMessage", "roots/list"]
    assert [body["method"] for body in asked if body["of"] == of] == methods
    assert [body["action"] for body in answered if body["of"] == of] == ["accept", "result", "result"]
    assert all(len(body["asked_sha256"]) == 64 for body in asked)
    assert "recorded-person" not in str(asked) + str(answered)
