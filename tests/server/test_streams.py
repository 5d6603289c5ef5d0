"""Streams that live long: idle hours, clients that do not read, connections that break, owners who are nobody."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from shim.model import Call, JsonObject, Listener, Reply
from shim.server.protocol import BoundedProtocol, Bounds
from tests.server.doubles import Behaviour, Tokens, World, offer, tool, world
from tests.server.listening import calling, getting, listening, until
from tests.server.running import Raw, call, client, events, routed, serving

CHANGED = "notifications/tools/list_changed"
CALL: JsonObject = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "up__slow"}}


def change(made: World, number: int | str) -> None:
    """The one tool that everybody sees is another."""
    made.catalog.learn(offer([tool("echo", title=str(number)), tool("slow")]))


class Slow:
    """A tool that answers when it is told to."""

    def __init__(self, made: World) -> None:
        self.started, self.go = anyio.Event(), anyio.Event()
        made.upstreams.behaviours["up/slow"] = self

    async def __call__(self, call: Call, params: JsonObject, listener: Listener) -> Reply:
        self.started.set()
        await self.go.wait()
        return Reply({"content": [{"type": "text", "text": "late"}]}, None, 1)


async def test_a_session_lives_as_long_as_its_stream_is_open() -> None:
    async with serving(ping=0.02, session_idle=0.1) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        async with getting(served, session) as stream:
            # when nothing is said for many times the idle time, and the client has pings alone
            await stream.until(0, pings=30)
            assert not stream.ended
            # then the session is there
            assert (await session.request("ping"))["result"] == {}
        # when the stream is closed, then the session ends as any idle one does
        await until(lambda: not served.legacy.sessions)
        assert (await session.post({"jsonrpc": "2.0", "id": 1, "method": "ping"})).status_code == 404


async def test_a_subscription_is_pinged_and_outlives_every_idle_bound() -> None:
    made = world()
    bounds = Bounds(head_seconds=0.1, body_seconds=0.1, idle_seconds=1, stall_seconds=0.1)
    async with serving(made, ping=0.02, bounds=bounds) as served, listening(served) as stream:
        await stream.until(1, pings=60)
        change(made, "new")
        *_, told = await stream.until(2)
    assert told.method == CHANGED


async def test_what_came_while_no_stream_was_open_is_told_once() -> None:
    made = world()
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "BOB").open()
        for number in range(3):
            change(made, number)
            await anyio.lowlevel.checkpoint()
        async with getting(served, session) as stream:
            beginning, told = await stream.until(2)
            assert (beginning.message, told.method) == (None, CHANGED)
            change(made, "later")
            assert [event.method for event in await stream.until(3)] == [None, CHANGED, CHANGED]
        async with getting(served, session) as again:
            # when it comes back, then it is not told again
            change(made, "last")
            assert [event.method for event in await again.until(2)] == [None, CHANGED]


async def test_a_stream_of_notices_is_taken_up_after_the_last_event() -> None:
    made = world()
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "BOB").open()
        async with getting(served, session) as stream:
            change(made, 1)
            await stream.until(2)
            change(made, 2)
            beginning, _, last = [event.id for event in await stream.until(3)]
        assert beginning
        assert last
        # when it says that it heard nothing since the beginning, then it hears once that there was a change
        async with getting(served, session, last_event_id=beginning) as stream:
            told = (await stream.until(2))[1]
            assert (told.method, told.id) == (CHANGED, last)
        # when it heard everything, then it hears of the next change alone
        async with getting(served, session, last_event_id=last) as stream:
            await stream.until(1)
            change(made, 3)
            assert [event.method for event in await stream.until(2)] == [None, CHANGED]


async def test_a_newer_stream_takes_the_place_of_the_one_before() -> None:
    made = world()
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "BOB").open()
        async with getting(served, session) as first, getting(served, session) as second:
            assert [event.method for event in await first.end()] == [None]
            change(made, 1)
            assert [event.method for event in await second.until(2)] == [None, CHANGED]


async def test_a_call_goes_on_when_its_connection_breaks_and_its_answer_waits() -> None:
    made = world()
    slow = Slow(made)
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        async with calling(served, session, CALL) as stream:
            (beginning,) = await stream.until(1)
            await slow.started.wait()
        assert beginning.id
        # when it comes back before there is an answer, then it waits on
        async with getting(served, session, last_event_id=beginning.id) as stream:
            slow.go.set()
            (answer,) = await stream.end()
        # when it comes back later, then it gets the same
        async with getting(served, session, last_event_id=beginning.id) as stream:
            assert await stream.end() == [answer]
        assert answer.id
        async with getting(served, session, last_event_id=answer.id) as stream:
            assert await stream.end() == []
    assert answer.message == {
        "jsonrpc": "2.0",
        "id": 7,
        "result": {"content": [{"type": "text", "text": "late"}]},
    }
    assert [call.tool for call in made.upstreams.calls] == ["up/slow"]
    assert [outcome.status for _, outcome in made.record.outcomes] == ["ok"]


async def test_a_connection_whose_client_reads_on_another_is_ended() -> None:
    made = world()
    slow = Slow(made)
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        async with calling(served, session, CALL) as first:
            (beginning,) = await first.until(1)
            assert beginning.id
            async with (
                getting(served, session, last_event_id=beginning.id) as second,
                getting(served, session, last_event_id=beginning.id) as third,
            ):
                assert await first.end() == [beginning]
                assert await second.end() == []
                slow.go.set()
                assert [event.message["id"] for event in await third.end() if event.message] == [7]


async def test_an_event_of_another_session_is_as_unknown_as_an_invented_one() -> None:
    made = world()
    slow = Slow(made)
    slow.go.set()
    async with serving(made) as served, client() as http:
        mine, other, theirs = [await Raw(served, http, name).open() for name in ("ALICE", "ALICE", "BOB")]
        own = []
        for session in (mine, other):
            async with calling(served, session, CALL) as stream:
                own.append((await stream.end())[0].id or "")
        async with getting(served, theirs) as stream:
            (beginning,) = await stream.until(1)
        token, name, _ = own[0].split(".")
        unknown = ["x", "", f"{token}.0.1", f"{token}.{name}.9", f"{token}.{'0' * 12}.0", "0" * 16 + f".{name}.0"]
        answers = set()
        for event_id in (own[1], beginning.id or "", *unknown):
            async with getting(served, mine, last_event_id=event_id or " ") as stream:
                answers.add((stream.status, stream.body))
        async with getting(served, mine, last_event_id=own[0]) as stream:
            assert stream.status == 200
        # and who has the ids of both, but not the session's owner, finds no session
        stolen = {**theirs.headers, "mcp-session-id": mine.headers["mcp-session-id"], "last-event-id": own[0]}
        taken = await http.get(served.url, headers=stolen)
        nothing = await http.get(served.url, headers={**stolen, "mcp-session-id": "f" * 32})
    ((status, body),) = answers
    assert (status, json.loads(body)["error"]["code"]) == (400, -32600)
    assert (taken.status_code, taken.content) == (nothing.status_code, nothing.content)
    assert taken.status_code == 404


async def test_nothing_is_kept_for_a_session_that_was_ended() -> None:
    made = world()
    slow = Slow(made)
    slow.go.set()
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        async with getting(served, session) as notices, calling(served, session, CALL) as stream:
            (beginning, _) = await stream.end()
            assert served.legacy.kept == 1
            await http.delete(served.url, headers=session.headers)
            # then its stream ends
            await notices.end()
        await until(lambda: not served.legacy.kept and not served.legacy.sessions)
        async with getting(served, session, last_event_id=beginning.id or "") as stream:
            assert stream.status == 404


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_stream_ends_when_the_token_of_its_owner_does(era: str) -> None:
    tokens = Tokens("alice", "bob")
    async with serving(tokens=tokens, ping=0.02) as served, client() as http:
        session = await Raw(served, http, "ALICE").open()
        opening = getting(served, session) if era == "legacy" else listening(served, "ALICE", id=5)
        staying = listening(served, "BOB")
        async with opening as stream, staying as others:
            await stream.until(1)
            # when it expires, which nothing announces
            tokens.revoke("alice")
            last = (await stream.end())[-1]
            await others.until(1, pings=others.pings + 3)
            assert not others.ended
    if era == "modern":
        assert last.message is not None
        assert (last.message["id"], last.message["result"]["resultType"]) == (5, "complete")


@asynccontextmanager
async def asking(
    port: int, headers: dict[str, str], message: JsonObject, *, window: int = 4096
) -> AsyncIterator[socket.socket]:
    """One who asks, and reads nothing of what comes unless the test does."""
    loop, body = asyncio.get_running_loop(), json.dumps(message).encode()
    lines = [f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {len(body)}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, "".join(lines).encode() + b"\r\n" + body)
        yield sock


def connections() -> int:
    """How many the server has in this process."""
    return sum(isinstance(one, BoundedProtocol) and not one.transport.is_closing() for one in gc.get_objects())


def answering(size: int) -> Behaviour:
    async def much(call: Call, params: JsonObject, listener: Listener) -> Reply:
        return Reply({"content": [{"type": "text", "text": "x" * size}]}, None, 1)

    return much


async def received(sock: socket.socket, pause: float = 0.0) -> int:
    """Bytes until the end of the connection."""
    loop, got = asyncio.get_running_loop(), 0
    while piece := await loop.sock_recv(sock, 200_000):
        got += len(piece)
        await asyncio.sleep(pause)
    return got


async def test_who_does_not_read_is_cut_off_and_delays_nobody() -> None:
    made, size = world(), 30_000_000
    made.upstreams.behaviours["up/slow"] = answering(size)
    bounds = Bounds(stall_seconds=0.3)
    async with serving(made, bounds=bounds) as served, client() as http, listening(served, "BOB") as reads:
        session = await Raw(served, http, "ALICE").open()
        before = connections()
        async with asking(served.port, session.headers, CALL) as sock:
            await until(lambda: bool(made.record.outcomes))
            # then others are served meanwhile
            change(made, "new")
            assert [event.method for event in await reads.until(2)][1] == CHANGED
            assert (await session.request("ping", id=8))["result"] == {}
            # and its connection is gone, with what it did not take
            await until(lambda: connections() <= before)
            assert await received(sock) < size
        assert not reads.ended


async def test_who_reads_slowly_is_not_cut_off() -> None:
    made, size = world(), 3_000_000
    made.upstreams.behaviours["up/echo"] = answering(size)
    message = call("up__echo")
    async with (
        serving(made, bounds=Bounds(stall_seconds=0.2)) as served,
        asking(served.port, {**routed(message), "connection": "close"}, message, window=65536) as sock,
    ):
        assert await received(sock, pause=0.02) > size


async def test_clients_of_before_get_no_event_without_data() -> None:
    made = world()
    async with serving(made) as served, client() as http:
        session = await Raw(served, http, "BOB").open()
        session.headers["mcp-protocol-version"] = "2025-06-18"
        response = await session.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        async with getting(served, session) as stream:
            change(made, 1)
            (told,) = await stream.until(1)
    assert b"data: \r\n" not in response.content
    assert events(response)[0]["id"] == 1
    assert told.method == CHANGED
