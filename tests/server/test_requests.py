"""What is asked of an HTTP request before it is listened to: where it goes, who sends it, how it is written."""

from __future__ import annotations

import asyncio
import json

import pytest

from shim.server.config import ServerBlock
from shim.server.protocol import Bounds
from tests.server.doubles import Tokens
from tests.server.running import JSON_HEADERS, call, client, post, raw, request, routed, serving

LIST = json.dumps(request("tools/list")).encode()


def wire(port: int, *, target: str = "/mcp", drop: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> bytes:
    """A modern tools/list, with header lines left out or added."""
    headers = {"host": f"127.0.0.1:{port}", **routed(json.loads(LIST)), "content-length": str(len(LIST))}
    lines = [f"{name}: {value}" for name, value in headers.items() if name not in drop]
    return "\r\n".join([f"POST {target} HTTP/1.1", *lines, *more, "connection: close", "", ""]).encode() + LIST


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


async def test_a_whole_request_is_answered() -> None:
    async with serving() as served:
        assert status(await raw(served, wire(served.port))) == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200),
        ("127.0.0.1:{port}/healthz?", 421),
        ("127.0.0.1:{port}@evil.example", 421),
        ("127.0.0.1:{port}, evil.example", 421),
        ("evil.example", 421),
        ("evil.example:{port}", 421),
        ("127.0.0.1:1", 421),
        ("127.0.0.1", 421),
        ("127.0.0.1.:{port}", 421),
        ("2130706433:{port}", 421),
        ("127.1:{port}", 421),
        ("", 421),
    ],
)
async def test_only_a_host_that_is_this_server_is_served(host: str, expected: int) -> None:
    async with serving() as served:
        response = await raw(
            served, wire(served.port, drop=("host",), more=(f"host: {host.format(port=served.port)}",))
        )
        health = (
            b"GET /healthz HTTP/1.1\r\nhost: %b\r\nconnection: close\r\n\r\n" % host.format(port=served.port).encode()
        )
        assert status(await raw(served, health)) == expected
    assert status(response) == expected


async def test_hosts_that_the_configuration_names() -> None:
    block = ServerBlock(url="https://shim.example.com/mcp", allowed_hosts=("other.example", "odd.example:99"))
    async with serving(block=block) as served:
        for host, expected in [
            ("shim.example.com", 200),
            ("shim.example.com:443", 200),
            ("other.example", 200),
            ("odd.example:99", 200),
            ("odd.example", 421),
            ("shim.example.com:444", 421),
            ("xshim.example.com", 421),
        ]:
            response = await raw(served, wire(served.port, drop=("host",), more=(f"host: {host}",)))
            assert status(response) == expected, host


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"more": ("host: 127.0.0.1:1",)}, id="two hosts"),
        pytest.param({"drop": ("host",)}, id="no host"),
        pytest.param({"target": "http://evil.example/mcp"}, id="absolute target"),
        pytest.param({"more": ("transfer-encoding: chunked",)}, id="length and chunks"),
        pytest.param({"more": ("content-length: 3",)}, id="two lengths"),
        pytest.param({"more": ("x y: 1",)}, id="space in a name"),
        pytest.param({"more": ("x: 1\r\n y: 2",)}, id="folded line"),
    ],
)
async def test_what_can_be_read_in_two_ways_is_refused(odd: dict[str, tuple[str, ...]]) -> None:
    async with serving() as served:
        response = await raw(served, wire(served.port, **odd))  # type: ignore[arg-type] # one table of two kinds of value
    assert status(response) == 400
    assert response.count(b"HTTP/1.1") == 1
    assert served.world.record.events == []


async def test_a_request_hidden_behind_a_length_is_not_run() -> None:
    async with serving() as served:
        inner = wire(served.port)
        outer = wire(served.port, drop=("content-length",), more=("content-length: 5", "transfer-encoding: chunked"))
        response = await raw(served, outer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n0\r\n\r\n" + inner)
    assert response.count(b"HTTP/1.1") == 1
    assert status(response) == 400


async def test_a_trailer_is_no_header() -> None:
    async with serving() as served:
        head = wire(served.port, drop=("content-length", "mcp-method"), more=("transfer-encoding: chunked",))
        head = head.partition(b"\r\n\r\n")[0]
        body = b"%x\r\n%b\r\n0\r\nmcp-method: tools/list\r\n\r\n" % (len(LIST), LIST)
        response = await raw(served, head + b"\r\n\r\n" + body)
    assert status(response) == 400
    assert b"-32020" in response


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1:{port}", 200),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://evil.example:{port}", 403),
        ("null", 403),
        ("http://localhost:3000/", 403),
        ("file://localhost", 403),
    ],
)
async def test_only_pages_of_this_machine_may_call(origin: str, expected: int) -> None:
    async with serving() as served:
        response = await raw(served, wire(served.port, more=(f"origin: {origin.format(port=served.port)}",)))
    assert status(response) == expected


async def test_other_paths_are_not_found() -> None:
    async with serving() as served:
        for target in ("/", "/mcp/", "/%6dcp", "/MCP", "//mcp", "/mcp/../mcp", "/readyz/"):
            assert status(await raw(served, wire(served.port, target=target))) == 404, target


async def test_health_and_readiness_need_no_credential() -> None:
    async with serving() as served, client() as http:
        base = served.url.removesuffix("/mcp")
        alive = await http.get(base + "/healthz")
        ready = await http.get(base + "/readyz")
        served.ready[0] = False
        unready = await http.get(base + "/readyz")
        posted = await http.post(base + "/readyz")
    assert (alive.status_code, ready.status_code, unready.status_code, posted.status_code) == (200, 200, 503, 405)
    assert ready.json() == {"ready": True, "upstreams": {"up": "up"}}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "no credential"),
        ({"authorization": "Bearer MALLORY"}, "unknown token"),
        ({"authorization": "Basic QUxJQ0U="}, "not a bearer token"),
        ({"authorization": "ALICE"}, "not a bearer token"),
        ({"authorization": "Bearer ALICE BOB"}, "not a bearer token"),
        ({"authorization": "Bearer"}, "not a bearer token"),
    ],
)
async def test_without_a_good_credential_nothing_is_read(headers: dict[str, str], why: str) -> None:
    async with serving() as served:
        response = await post(served, b"not even JSON", {**JSON_HEADERS, **headers})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert served.refused == [("127.0.0.1", why)]
    assert served.world.record.events == []


async def test_two_authorizations_are_refused_even_if_each_is_good() -> None:
    async with serving() as served:
        response = await raw(served, wire(served.port, more=("authorization: Bearer BOB",)))
    assert status(response) == 401
    assert b"www-authenticate: Bearer\r\n" in response


async def test_a_revoked_token_ends_with_the_next_request() -> None:
    async with serving() as served:
        before = await post(served, request("tools/list"))
        served.tokens.revoke("alice")
        after = await post(served, request("tools/list"))
    assert (before.status_code, after.status_code) == (200, 401)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"authorization": "Bearer MALLORY"}, 401),
        ({"forwarded": "for=10.0.0.1"}, 401),
        ({"x-forwarded-for": "10.0.0.1"}, 401),
        ({"x-forwarded-host": "a"}, 401),
        ({"x-forwarded-for": "10.0.0.1", "authorization": "Bearer ALICE"}, 200),
    ],
)
async def test_anonymous_is_who_shows_nothing_and_came_straight_here(headers: dict[str, str], expected: int) -> None:
    async with serving(tokens=Tokens("alice", guest="guest")) as served:
        message = request("tools/list")
        response = await post(served, message, {**routed(message, None), **headers})
    assert response.status_code == expected


@pytest.mark.parametrize(
    ("behind_proxy", "headers", "address"),
    [
        (False, {"x-forwarded-for": "10.0.0.1"}, "127.0.0.1"),
        (True, {"x-forwarded-for": "6.6.6.6, 10.0.0.1"}, "10.0.0.1"),
        (True, {"forwarded": 'for=6.6.6.6, for="[2001:db8::1]:99";proto=https'}, "2001:db8::1"),
        (True, {"x-forwarded-for": "not an address"}, "127.0.0.1"),
        (True, {}, "127.0.0.1"),
    ],
)
async def test_the_address_on_the_record(behind_proxy: bool, headers: dict[str, str], address: str) -> None:
    async with serving(block=ServerBlock(behind_proxy=behind_proxy)) as served:
        message = call("up__echo")
        await post(served, message, {**routed(message), **headers})
    assert served.world.upstreams.calls[0].caller.address == address


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=utf-16"}, 415),
        ({"content-type": "application/json;charset=UTF-8"}, 200),
        ({"accept": "application/json"}, 406),
        ({"accept": "text/event-stream"}, 406),
        ({"accept": "*/*"}, 200),
        ({"accept": "application/json;q=0.9, text/event-stream"}, 200),
    ],
)
async def test_media_types(changed: dict[str, str], expected: int) -> None:
    async with serving() as served:
        message = request("tools/list")
        response = await post(served, message, {**routed(message), **changed})
    assert response.status_code == expected
    assert served.world.record.refused() == ([] if expected == 200 else [(None, -32600)])


MALFORMED = [
    (b"", None, -32700),
    (b"{", None, -32700),
    (b'\xef\xbb\xbf{"jsonrpc":"2.0"}', None, -32700),
    ('{"jsonrpc":"2.0","id":1,"method":"tools/list"}'.encode("utf-16"), None, -32700),
    (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}', None, -32700),
    (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"a":{"b":1,"b":2}}}', None, -32700),
    (b'{"jsonrpc":"2.0","id":NaN,"method":"tools/list"}', None, -32700),
    (b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":1e999}}', None, -32700),
    (b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":' + b"9" * 5000 + b"}}", None, -32700),
    (b'{"a":' * 200 + b"1" + b"}" * 200, None, -32700),
    (b"[" * 100_000, None, -32700),
    (b'[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]', None, -32600),
    (b'"tools/list"', None, -32600),
    (b'{"jsonrpc":"1.0","id":1,"method":"tools/list"}', 1, -32600),
    (b'{"id":1,"method":"tools/list"}', 1, -32600),
    (b'{"jsonrpc":"2.0","id":null,"method":"tools/list"}', None, -32600),
    (b'{"jsonrpc":"2.0","id":1.0,"method":"tools/list"}', None, -32600),
    (b'{"jsonrpc":"2.0","id":true,"method":"tools/list"}', None, -32600),
    (b'{"jsonrpc":"2.0","id":"a","method":{}}', "a", -32600),
    (b'{"jsonrpc":"2.0","id":"a","method":"x","params":[1]}', "a", -32600),
    (b'{"jsonrpc":"2.0","id":"a","method":"x","params":{"_meta":[]}}', "a", -32602),
    (b'{"jsonrpc":"2.0","id":"a","method":"x","result":{}}', "a", -32600),
    (b'{"jsonrpc":"2.0","id":"a","METHOD":"y","method":"x"}', "a", -32600),
    (b'{"jsonrpc":"2.0","id":"a","method":"x","\\u0000method":"y"}', "a", -32600),
    (b'{"jsonrpc":"2.0","id":"a","method":"x","method\\u0000y":"y"}', "a", -32600),
    ('{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"a","\uff4eame":"b"}}'.encode(), "a", -32600),
    (
        '{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"a","argument\u017f":{}}}'.encode(),
        "a",
        -32600,
    ),
    ('{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"a","na\u200bme":"b"}}'.encode(), "a", -32600),
]


@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25", None])
async def test_malformed_messages_are_refused_and_recorded(version: str | None) -> None:
    async with serving() as served:
        headers = {**JSON_HEADERS, "authorization": "Bearer ALICE"}
        if version is not None:
            headers["mcp-protocol-version"] = version
        for body, id_, code in MALFORMED:
            response = await post(served, body, headers)
            answer = response.json()
            assert (response.status_code, answer["id"], answer["error"]["code"]) == (400, id_, code), body[:80]
    assert [code for _, code in served.world.record.refused()] == [code for _, _, code in MALFORMED]
    assert served.world.record.intents == []


async def test_below_the_arguments_keys_are_the_callers_own_business() -> None:
    arguments = {"Name": 1, "_META": {"Method": 2}, "na\0me": 3}
    async with serving() as served:
        response = await post(served, call("up__echo", arguments))
    assert response.json()["result"]["echo"] == arguments


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_bound_is_refused_and_recorded(chunked: bool) -> None:
    async def pieces() -> object:
        for _ in range(100):
            yield b"x" * 1000

    async with serving(block=ServerBlock(max_request=2000)) as served, client() as http:
        headers = {**JSON_HEADERS, "authorization": "Bearer ALICE"}
        content = pieces() if chunked else b"x" * 100_000
        response = await http.post(served.url, content=content, headers=headers)  # type: ignore[arg-type] # either
        just = json.dumps(call("up__echo", {"x": ""})).encode()
        fits = await post(served, call("up__echo", {"x": "y" * (2000 - len(just))}))
    assert response.status_code == 413
    assert response.headers["connection"] == "close"
    assert fits.status_code == 200
    assert served.world.record.refused() == [(None, -32600)]


async def test_a_large_body_in_one_piece_is_no_large_header() -> None:
    async with serving() as served, client() as http:
        for _ in range(3):
            message = call("up__echo", {"x": "y" * 500_000})
            response = await http.post(served.url, content=json.dumps(message).encode(), headers=routed(message))
            assert response.status_code == 200


@pytest.mark.parametrize("line", [b"x-a: " + b"a" * 70_000 + b"\r\n", b"x-a: aaaaaaaa\r\n" * 5000])
async def test_a_header_block_over_the_bound_is_cut_off(line: bytes) -> None:
    async with serving() as served:
        head = b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % served.port
        whole = await raw(served, head + line + b"\r\n")
        endless = await raw(served, head + line)
    assert status(whole) in (400, 431)
    assert status(endless) in (400, 431)


SLOW = Bounds(head_seconds=0.2, body_seconds=0.2)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"POST /mcp HTTP/1.1\r\nhost: x"])
async def test_a_slow_header_is_cut_off(sent: bytes) -> None:
    async with serving(bounds=SLOW) as served:
        assert status(await raw(served, sent)) == 408


async def test_a_slow_body_is_cut_off_and_recorded() -> None:
    async with serving(bounds=SLOW) as served:
        response = await raw(served, wire(served.port)[:-10])
    assert status(response) == 408
    assert response.count(b"HTTP/1.1") == 1
    assert served.world.record.refused() == [(None, -32600)]


async def test_a_slow_call_is_not_a_slow_sender() -> None:
    async with serving(bounds=SLOW) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for _ in range(2):
            writer.write(wire(served.port).replace(b"connection: close\r\n", b""))
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            length = 0
            while (line := await reader.readline()) != b"\r\n":
                if line.startswith(b"content-length"):
                    length = int(line.split(b":")[1])
            await reader.readexactly(length)
        writer.close()


async def test_another_protocol_is_refused() -> None:
    async with serving() as served:
        offer = ("upgrade: h2c", "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA")
        data = wire(served.port, more=offer).replace(b"connection: close", b"connection: Upgrade, HTTP2-Settings")
        assert status(await raw(served, data)) == 400


async def test_a_repeated_routing_header_is_refused() -> None:
    async with serving() as served:
        for line in ("mcp-method: tools/list", "mcp-protocol-version: 2026-07-28", "mcp-name: x"):
            twice = (line, line) if line.startswith("mcp-name") else (line,)
            response = await raw(served, wire(served.port, more=twice))
            assert status(response) == 400
            assert b"-32020" in response
