"""A served face for tests, and raw clients of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
from mcp.shared.inbound import NAME_BEARING_METHODS, encode_header_value

from shim.generation import Current, Generation, Ready
from shim.model import Json, JsonObject
from shim.server.authentication import AuthRefused
from shim.server.closing import Closing
from shim.server.config import ServerBlock
from shim.server.face import Face
from shim.server.http import HttpFace
from shim.server.legacy import LegacyFace
from shim.server.listen import serve_http
from shim.server.pages import Pages
from shim.server.protocol import Bounds
from tests.server.doubles import Tokens, World, world

PATIENCE = 20.0
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
JSON_HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


async def up() -> tuple[bool, dict[str, str]]:
    return True, {"up": "up"}


def generation_of(made: World, tokens: Tokens, ready: Ready = up) -> Generation:
    return Generation(made.gateway, tokens, lambda identity: f"for {identity.name}", ready)


def face_of(first: Generation, look: float = 15.0) -> Face:
    return Face(Current(first), "mcp-shim", "0", Closing(), look=look)


@dataclass
class Served:
    """A face that listens, and what it can tell afterwards."""

    url: str
    world: World
    face: Face
    tokens: Tokens
    refused: list[tuple[str | None, str]]
    stop: asyncio.Event
    ended: asyncio.Event
    ready: list[bool]
    http: HttpFace

    @property
    def legacy(self) -> LegacyFace:
        return self.http.legacy

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])


@asynccontextmanager
async def serving(
    made: World | None = None,
    *,
    block: ServerBlock | None = None,
    tokens: Tokens | None = None,
    bounds: Bounds | None = None,
    ping: float = 15.0,
    grace: float = 5.0,
    max_sessions: int = 100,
    session_idle: float = 60.0,
    pages: Callable[[Current, AuthRefused], Pages] | None = None,
) -> AsyncIterator[Served]:
    """`alice` and `bob` may come in; the server is stopped gracefully at the end. `pages` makes those of the server."""
    made = made or world()
    tokens = tokens or Tokens("alice", "bob")
    is_ready = [True]

    async def ready() -> tuple[bool, dict[str, str]]:
        return is_ready[0], {"up": "up"}

    face = face_of(generation_of(made, tokens, ready), ping)
    block = block or ServerBlock()
    stop, ended = asyncio.Event(), asyncio.Event()
    refused: list[tuple[str | None, str]] = []

    def auth_refused(address: str | None, why: str) -> None:
        refused.append((address, why))

    http = HttpFace(
        face,
        block,
        auth_refused=auth_refused,
        ping=ping,
        max_sessions=max_sessions,
        session_idle=session_idle,
        pages=pages(face.current, auth_refused) if pages is not None else None,
    )
    served = Served("", made, face, tokens, refused, stop, ended, is_ready, http)
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        await serve_http(
            http,
            listen="127.0.0.1:0",
            stop=stop,
            on_listening=listening.set_result,
            grace=grace,
            bounds=bounds,
        )
        ended.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        served.url = await listening
        try:
            yield served
        finally:
            stop.set()
            await asyncio.wait_for(ended.wait(), PATIENCE)


def envelope(**more: Json) -> JsonObject:
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
        **more,
    }


def request(method: str, params: JsonObject | None = None, *, id: Json = 1, **meta: Json) -> JsonObject:  # noqa: A002 (the protocol's word)
    """A modern request."""
    body = {**(params or {}), "_meta": envelope(**meta)}
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": body}


def call(name: str, arguments: JsonObject | None = None, *, id: Json = 1, **meta: Json) -> JsonObject:  # noqa: A002
    return request("tools/call", {"name": name, "arguments": arguments or {}}, id=id, **meta)


def routed(message: JsonObject, token: str | None = "ALICE") -> dict[str, str]:
    """The headers that go with a modern request."""
    headers = {**JSON_HEADERS, "mcp-protocol-version": MODERN}
    if "method" in message:
        headers["mcp-method"] = message["method"]
    named = NAME_BEARING_METHODS.get(message.get("method", ""), "")
    name = message.get("params", {}).get(named)
    if isinstance(name, str):
        headers["mcp-name"] = encode_header_value(name)
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return headers


@asynccontextmanager
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
        yield http


async def post(
    served: Served,
    message: JsonObject | bytes,
    headers: Mapping[str, str] | None = None,
    *,
    token: str | None = "ALICE",
) -> httpx2.Response:
    """One request on a connection of its own; `headers` replace the ones that would go with it."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    sent = dict(headers) if headers is not None else routed(message if isinstance(message, dict) else {}, token)
    async with client() as http:
        return await http.post(served.url, content=body, headers=sent)


HELLO: JsonObject = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}


class Raw:
    """One legacy session, byte by byte."""

    def __init__(self, served: Served, http: httpx2.AsyncClient, token: str) -> None:
        self._served = served
        self._http = http
        self.headers = {**JSON_HEADERS, "authorization": f"Bearer {token}"}
        self.hello: JsonObject = {}

    async def open(self) -> Raw:
        response = await self.post(HELLO)
        self.hello = events(response)[0]
        self.headers["mcp-session-id"] = response.headers["mcp-session-id"]
        self.headers["mcp-protocol-version"] = LEGACY
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    async def post(self, message: JsonObject, **headers: str) -> httpx2.Response:
        return await self._http.post(
            self._served.url, content=json.dumps(message).encode(), headers={**self.headers, **headers}
        )

    async def request(self, method: str, params: JsonObject | None = None, id: int | str = 1) -> JsonObject:  # noqa: A002
        message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}}
        return events(await self.post(message))[-1]


def events(response: httpx2.Response) -> list[JsonObject]:
    """The messages of an event stream."""
    found = []
    for event in response.content.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
        if data:
            found.append(json.loads(data))
    return found


async def raw(served: Served, data: bytes) -> bytes:
    """Send bytes, and everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), PATIENCE)
    finally:
        writer.close()
