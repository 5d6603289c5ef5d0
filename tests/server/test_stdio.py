"""Stdio: both eras on one pair of pipes, bad lines answered, nothing on standard output but the protocol."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from shim.model import Json, JsonObject
from shim.server.face import capabilities
from tests.parts import warm
from tests.server.running import LEGACY, PATIENCE, call, request
from tests.server.stdio_server import MAX_LINE

ROOT = Path(__file__).parents[2]
HELLO: JsonObject = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}


class Pipes:
    """The process, line by line."""

    def __init__(self, process: warm.Process) -> None:
        self.process = process
        self.errors = ""

    async def send(self, line: bytes | JsonObject) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        await self.process.stdin.drain()

    async def line(self) -> bytes:
        assert self.process.stdout is not None
        return await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)

    async def hear(self) -> JsonObject:
        message: JsonObject = json.loads(await self.line())
        return message

    async def ask(self, line: bytes | JsonObject) -> JsonObject:
        await self.send(line)
        return await self.hear()

    async def finish(self) -> list[JsonObject]:
        """Close the input; what else the process says, and how it ends."""
        out, err = await asyncio.wait_for(self.process.communicate(b""), PATIENCE)
        self.errors = err.decode()
        return [json.loads(line) for line in out.splitlines()]


@asynccontextmanager
async def started(identity: str = "alice") -> AsyncIterator[Pipes]:
    argv, pipe = (sys.executable, "-m", "tests.server.stdio_server", identity), asyncio.subprocess.PIPE
    process = await warm.start(argv, {}, stdin=pipe, stdout=pipe, stderr=pipe, folder=ROOT)
    try:
        yield Pipes(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_modern_call_passes_unharmed_and_nothing_else_is_printed() -> None:
    async with started() as pipes:
        await pipes.send(call("up__echo", id=7, progressToken="mine"))
        progress, raw = await pipes.hear(), await pipes.line()
        rest = await pipes.finish()
    assert progress["params"] == {"progressToken": "mine", "progress": 1, "extra": None}
    assert b'"s":"\\ud800"' in raw
    answer = json.loads(raw)
    assert answer["id"] == 7
    assert answer["result"]["content"] == [{"type": "odd", "x": 2**70, "n": None, "s": "\ud800"}]
    assert answer["result"]["resultType"] == "complete"
    assert rest == []
    assert "what a library prints" in pipes.errors
    assert "outcome up/echo ok process-1" in pipes.errors


async def test_a_legacy_session() -> None:
    async with started() as pipes:
        hello = await pipes.ask(HELLO)
        await pipes.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        listed = await pipes.ask({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        await pipes.send({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "up__echo"}})
        log, answer = await pipes.hear(), await pipes.hear()
    assert hello["result"]["capabilities"] == capabilities(LEGACY)
    assert [tool["name"] for tool in listed["result"]["tools"]] == ["up__echo", "up__placed", "up__slow"]
    assert log["method"] == "notifications/message"
    assert set(answer["result"]) == {"content"}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_sdk_client(mode: str) -> None:
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "tests.server.stdio_server", "bob"], cwd=str(ROOT)
    )
    async with Client(stdio_client(parameters), mode=mode) as client:
        listed = await client.list_tools()
    assert [tool.name for tool in listed.tools] == ["up__echo"]


@pytest.mark.parametrize(
    ("line", "id_", "code"),
    [
        (b"{", None, -32700),
        (b"\xff\xfe{\x00}\x00", None, -32700),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', None, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":NaN}}', None, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 20_000, None, -32700),
        (b"[]", None, -32600),
        (b'{"jsonrpc":"2.0","id":5,"method":"ping","Method":"x"}', 5, -32600),
        (b'{"jsonrpc":"2.0","id":5,"method":7}', 5, -32600),
        (b'{"jsonrpc":"2.0","id":5,"method":"tools/list","params":[]}', 5, -32600),
        (b'{"a":"' + b"x" * MAX_LINE + b'"}', None, -32600),
    ],
)
async def test_a_bad_line_is_answered_and_the_next_one_works(line: bytes, id_: Json, code: int) -> None:
    async with started() as pipes:
        bad = await pipes.ask(line)
        good = await pipes.ask(request("tools/list", id=9))
        await pipes.finish()
    assert (bad["id"], bad["error"]["code"]) == (id_, code)
    assert good["id"] == 9
    assert "result" in good
    assert f" {code}" in pipes.errors


async def test_a_hidden_tool_answers_as_an_unknown_one_does() -> None:
    async with started("bob") as pipes:
        await pipes.send(call("up__placed", {"region": "x"}))
        hidden = await pipes.line()
        await pipes.send(call("up__nothin", {"region": "x"}))
        unknown = await pipes.line()
    assert hidden.replace(b"placed", b"nothin") == unknown
    assert b"Unknown tool" in hidden


async def test_a_notification_cancels_a_call() -> None:
    async with started() as pipes:
        await pipes.send(call("up__slow", id=3))
        await pipes.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}})
        listed = await pipes.ask(request("tools/list", id=4))
        await pipes.finish()
    assert listed["id"] == 4
    assert "outcome up/slow cancelled" in pipes.errors


async def test_what_was_asked_before_the_end_of_input_is_answered() -> None:
    async with started() as pipes:
        for number in range(20):
            await pipes.send(call("up__echo", id=number))
        answers = await pipes.finish()
    assert sorted(answer["id"] for answer in answers) == list(range(20))
    assert pipes.process.returncode == 0


async def test_a_subscription_ends_gracefully_with_the_process() -> None:
    async with started() as pipes:
        await pipes.send(request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, id="s"))
        acknowledged = await pipes.hear()
        pipes.process.terminate()
        rest = await pipes.finish()
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert acknowledged["params"]["notifications"] == {"toolsListChanged": True}
    assert rest[-1]["id"] == "s"
    assert rest[-1]["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "s"


async def test_an_id_in_use_is_refused() -> None:
    async with started() as pipes:
        await pipes.send(call("up__slow", id=3))
        answer = await pipes.ask(call("up__echo", id=3))
    assert answer["error"]["code"] == -32600


async def test_requests_of_the_other_era_are_refused_and_recorded() -> None:
    async with started() as pipes:
        await pipes.ask(HELLO)
        enveloped = await pipes.ask(request("tools/list", id=1))
        legacy = await pipes.ask({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
        await pipes.finish()
    assert enveloped["error"]["code"] == -32600
    assert "result" in legacy
    assert "refused tools/list -32600" in pipes.errors


async def test_a_modern_request_without_its_envelope_is_refused_and_recorded() -> None:
    async with started() as pipes:
        half = request("tools/list", id=1)
        del half["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        first = await pipes.ask(half)
        await pipes.ask(request("tools/list", id=2))
        bare = await pipes.ask({"jsonrpc": "2.0", "id": 3, "method": "tools/list"})
        hello = await pipes.ask(HELLO)
        other = request("tools/list", id=4)
        other["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01"
        unserved = await pipes.ask(other)
        await pipes.finish()
    assert (first["error"]["code"], bare["error"]["code"]) == (-32602, -32602)
    assert (hello["error"]["code"], unserved["error"]["code"]) == (-32022, -32022)
    assert unserved["error"]["data"]["supported"] == ["2026-07-28"]
    assert pipes.errors.count("refused tools/list -32602") == 2
