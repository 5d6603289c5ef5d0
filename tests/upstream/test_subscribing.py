"""What is subscribed to upstream for those who want to be told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from shim.lending import Leased
from shim.model import Call, Caller, Credential, Identity, Reply, Resource
from shim.server.watched import Watched
from shim.upstream.config import UpstreamBlock
from tests.upstream.support import LEGACY, Running, running
from tests.upstream.web import Request, serving

URI = "x:1"


async def subscribe(run: Running, watched: Watched) -> Reply:
    caller = Caller(Credential(Identity("alice"), "token"), "http", LEGACY)
    ref, began = f"resource:web/{URI}", datetime(2026, 8, 1, tzinfo=UTC)
    call = Call("inv", caller, "run", "resources/subscribe", ref, "web", {"uri": URI}, began, "p")
    return await run.upstreams.call(call, Resource("web", URI, URI, {}, "d"), {"uri": URI}, watched, Leased())


async def test_who_wants_it_again_while_the_last_one_is_being_unsubscribed_is_told() -> None:
    go_on, watched = asyncio.Event(), Watched()

    async def unsubscribed(request: Request) -> None:
        await go_on.wait()
        request.result({})

    async with serving("legacy") as web, running({"web": UpstreamBlock(url=web.url)}) as run:
        web.extra["resources/subscribe"] = lambda request: request.result({})
        web.extra["resources/unsubscribe"] = unsubscribed
        assert (await subscribe(run, watched)).error is None
        watched.leave(URI)
        await web.until(lambda: web.asked("resources/unsubscribe"))
        async with asyncio.TaskGroup() as group:
            again = group.create_task(subscribe(run, watched))
            await asyncio.sleep(0)
            go_on.set()
        assert again.result().error is None
        assert len(web.asked("resources/subscribe")) == 2
