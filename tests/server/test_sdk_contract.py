"""What the faces rely on in the SDK that it keeps private or calls provisional."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from shim import jsontext
from shim.model import JsonObject
from shim.server import _sdk


async def exchange(middleware: _sdk.Middleware, *messages: _sdk.SessionMessage) -> list[JsonObject]:
    """What a server of ours writes until the last message is answered."""
    server = _sdk.raw_server("name", "1", middleware)
    to_server, reading, writing, from_server = _sdk.streams()
    heard: list[JsonObject] = []
    async with anyio.create_task_group() as group:
        group.start_soon(_sdk.serve_streams, server, reading, writing)
        for message in messages:
            await to_server.send(message)
            while True:
                with anyio.fail_after(5):
                    heard.append(_sdk.encoded(await from_server.receive()))
                if "method" not in heard[-1]:
                    break
        to_server.close()
    return heard


HELLO: JsonObject = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
MODERN: JsonObject = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}


async def test_a_result_of_the_middleware_is_not_looked_into() -> None:
    result: JsonObject = {"content": [{"type": "odd", "x": None, "y": 2**70, "z": "\ud800"}], "unknown": None}

    async def answers(ctx: _sdk.Context, call_next: _sdk.CallNext) -> _sdk.HandlerResult:
        return result

    heard = await exchange(answers, _sdk.incoming("i", "anything/at-all", MODERN, None))
    assert heard == [{"jsonrpc": "2.0", "id": "i", "result": result}]


async def test_a_notification_on_a_requests_stream_is_not_looked_into() -> None:
    params: JsonObject = {"progressToken": 1, "progress": 1, "unknown": {"x": None}}

    async def notifies(ctx: _sdk.Context, call_next: _sdk.CallNext) -> _sdk.HandlerResult:
        await _sdk.notify(ctx, "notifications/tools/list_changed", params)
        return {}

    heard = await exchange(notifies, _sdk.incoming(1, "x", MODERN, None))
    assert heard[0] == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": params}


@pytest.mark.parametrize(
    "fault",
    [
        {"code": 7, "message": "m"},
        {"code": 7, "message": "m", "data": None},
        {"code": 7, "message": "\ud800", "data": {"x": None, "y": 2**70}, "more": [None]},
    ],
)
async def test_an_error_keeps_its_code_message_and_data(fault: JsonObject) -> None:
    async def raises(ctx: _sdk.Context, call_next: _sdk.CallNext) -> _sdk.HandlerResult:
        raise _sdk.error(fault)

    heard = await exchange(raises, _sdk.incoming(1, "x", MODERN, None))
    assert heard == [{"jsonrpc": "2.0", "id": 1, "error": fault}]


async def test_the_handshake_is_the_sdks_and_what_travels_beside_a_message_comes_back() -> None:
    seen: list[Any] = []

    async def passes(ctx: _sdk.Context, call_next: _sdk.CallNext) -> _sdk.HandlerResult:
        connection = _sdk.connection_of(ctx)
        seen.append((ctx.method, ctx.request, ctx.protocol_version, connection.initialize_accepted))
        if ctx.method == "initialize":
            result = await call_next(ctx)
            assert isinstance(result, dict)
            return {**result, "more": None}
        connection.exit_stack.callback(seen.append, "closed")
        return {}

    heard = await exchange(
        passes, _sdk.incoming(1, "initialize", HELLO, "beside"), _sdk.incoming(2, "tools/list", None, "there")
    )
    assert heard[0]["result"]["protocolVersion"] == "2025-06-18"
    assert heard[0]["result"]["more"] is None
    assert seen == [
        ("initialize", "beside", "2025-11-25", False),
        ("tools/list", "there", "2025-06-18", True),
        "closed",
    ]


def test_no_schema_is_ever_looked_up_before_the_caller_is_known() -> None:
    async def never(ctx: _sdk.Context, call_next: _sdk.CallNext) -> _sdk.HandlerResult:
        raise AssertionError

    server = _sdk.raw_server("name", "1", never)
    assert server.get_tool_input_schema is not None
    assert server.get_tool_input_schema("any") is None
    assert server.middleware == [never]


async def test_a_session_that_is_held_does_not_end_for_idleness() -> None:
    async def passes(ctx: _sdk.Context, call_next: _sdk.CallNext) -> _sdk.HandlerResult:
        _sdk.connection_of(ctx).exit_stack.callback(ended.set)
        return await call_next(ctx)

    ended, sent = anyio.Event(), list[Any]()
    manager = _sdk.session_manager(_sdk.raw_server("n", "1", passes), max_request=10_000, max_sessions=2, idle=0.05)
    body = jsontext.dump({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO})
    heard = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if not heard:
            await anyio.sleep_forever()
        return heard.pop()

    async def send(event: Any) -> None:
        sent.append(event)

    names = (b"content-type", b"accept", b"host")
    values = (b"application/json", b"application/json, text/event-stream", b"127.0.0.1")
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "http_version": "1.1",
        "headers": list(zip(names, values, strict=True)),
    }
    async with manager.run():
        await manager.handle_request(scope, receive, send)
        name = dict(sent[0]["headers"])[b"mcp-session-id"].decode()
        with _sdk.held(manager, name) as is_held:
            assert is_held
            with anyio.move_on_after(0.5):
                await ended.wait()
            assert not ended.is_set()
        with anyio.fail_after(5):
            await ended.wait()
        with _sdk.held(manager, name) as is_held:
            assert not is_held
