"""The session that speaks for what is no MCP server: as any other upstream's, in all that is around a call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from shim import jsontext
from shim.curating import Curation
from shim.errors import OutcomeUnknown, ResultTooLarge, UpstreamTimeout, UpstreamUnavailable
from shim.model import JsonObject, Offer, Question, Response
from shim.offered import read_offer
from shim.upstream import modern
from shim.upstream.definitions import HIDDEN, defined
from shim.upstream.exchange import Ask
from shim.upstream.local import Doing, LocalSession
from shim.upstream.session import Me

TOOL: JsonObject = {"name": "work", "inputSchema": {"type": "object"}}
OK: JsonObject = {"content": [{"type": "text", "text": "done"}]}


class Nobody:
    def lists_changed(self) -> None:
        raise AssertionError

    def refused(self, method: str, invocation: str | None) -> None:
        raise AssertionError


@dataclass
class Tools:
    """One tool that does `work`."""

    work: Callable[[Doing], Awaitable[JsonObject]]
    left: int = 0

    async def tools(self) -> list[JsonObject]:
        return [TOOL]

    async def call(self, name: str, arguments: JsonObject, doing: Doing, /) -> JsonObject:
        assert (name, arguments) == ("work", {"a": 1})
        try:
            return await self.work(doing)
        finally:
            self.left += 1


@dataclass
class Hears:
    told: list[JsonObject] = field(default_factory=list)

    async def progress(self, params: JsonObject) -> None:
        self.told.append(params)

    async def log(self, params: JsonObject) -> None:
        raise AssertionError

    async def ask(self, question: Question) -> Response:
        raise AssertionError

    async def completed(self, params: JsonObject) -> None:
        raise AssertionError


def session(work: Callable[[Doing], Awaitable[JsonObject]]) -> tuple[LocalSession, Tools]:
    tools = Tools(work)
    return LocalSession("up", tools, Nobody()), tools


def calling(timeout: float = 5.0, limit: int = 1000, listener: Hears | None = None) -> Ask:
    params: JsonObject = {"name": "work", "arguments": {"a": 1}}
    return Ask("tools/call", params, timeout, limit, listener, progress=listener is not None, invocation="i1")


async def test_it_is_found_to_be_of_the_modern_era_and_has_tools() -> None:
    local, _ = session(_done)
    reply = await modern.discover(local, Me("mcp-shim", "0"), "2026-07-28", 1.0, 1000)
    peer = modern.peer(reply.result or {}, "2026-07-28")
    assert peer.can("tools")
    assert not peer.can("prompts")
    listed = await local.request(Ask("tools/list", {}, 1.0, 1000))
    assert listed.result is not None
    assert listed.result["tools"] == [TOOL]
    other = await local.request(Ask("prompts/list", {}, 1.0, 1000))
    assert other.error is not None
    assert other.error["code"] == -32601


async def _never() -> JsonObject:
    await asyncio.Event().wait()
    raise AssertionError


async def _done(doing: Doing) -> JsonObject:
    assert (doing.invocation, doing.limit) == ("i1", 1000)
    return OK


async def test_a_call_has_its_result_and_its_progress() -> None:
    async def work(doing: Doing) -> JsonObject:
        doing.progress(1, 2, "half")
        return OK

    local, tools = session(work)
    hears = Hears()
    reply = await local.request(calling(listener=hears))
    assert (reply.result, reply.size) == (OK, len(jsontext.dump(OK)))
    assert [(one["progress"], one["total"], one["message"]) for one in hears.told] == [(1, 2, "half")]
    assert tools.left == 1


@pytest.mark.parametrize(("begins", "refused"), [(True, UpstreamTimeout), (False, UpstreamUnavailable)])
async def test_what_takes_too_long_is_ended(begins: bool, refused: type[Exception]) -> None:
    async def work(doing: Doing) -> JsonObject:
        if begins:
            doing.began()
        return await _never()

    local, tools = session(work)
    with pytest.raises(refused):
        await local.request(calling(timeout=0.05))
    assert tools.left == 1


async def test_who_leaves_ends_the_call() -> None:
    begun = asyncio.Event()

    async def work(doing: Doing) -> JsonObject:
        begun.set()
        return await _never()

    local, tools = session(work)
    asking = asyncio.ensure_future(local.request(calling()))
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert tools.left == 1


@pytest.mark.parametrize(("begins", "refused"), [(True, OutcomeUnknown), (False, UpstreamUnavailable)])
async def test_closing_it_ends_what_is_under_way(begins: bool, refused: type[Exception]) -> None:
    begun = asyncio.Event()

    async def work(doing: Doing) -> JsonObject:
        if begins:
            doing.began()
        begun.set()
        return await _never()

    local, tools = session(work)
    asking = asyncio.ensure_future(local.request(calling()))
    await begun.wait()
    await local.close()
    with pytest.raises(refused):
        await asking
    assert tools.left == 1
    assert not local.alive
    with pytest.raises(UpstreamUnavailable):
        await local.request(calling())


async def test_a_result_that_is_too_large_is_none() -> None:
    async def work(_: Doing) -> JsonObject:
        return {"content": [{"type": "text", "text": "x" * 1000}]}

    local, _ = session(work)
    with pytest.raises(ResultTooLarge):
        await local.request(calling())


def test_what_a_definition_does_not_show_is_in_its_digest_alone() -> None:
    one, other = (
        read_offer(Offer("up", "modern", "2026-07-28", {}, {}, None, (defined(TOOL, hidden),)), "", Curation()).tools[0]
        for hidden in (["git", "log"], ["git", "push"])
    )
    assert HIDDEN in defined(TOOL, [])["_meta"]
    assert one.definition == other.definition == TOOL
    assert one.digest != other.digest
