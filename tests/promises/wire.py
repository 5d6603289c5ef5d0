"""Raw MCP clients of both eras over stdio and HTTP, which look at every byte that a server sends.

They are not the SDK's: a client that validates and drops cannot see what a gateway changed.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal, Protocol

import httpx2
from mcp.shared.inbound import NAME_BEARING_METHODS, encode_header_value

from shim.model import Json, JsonObject
from tests.parts import warm

Era = Literal["legacy", "modern"]
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
NAMED = {**NAME_BEARING_METHODS, "tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}
"""Which param of a method the header `Mcp-Name` repeats (2026-07-28; extension io.modelcontextprotocol/tasks)."""

PATIENCE = 60.0
"""Seconds after which a peer that does not answer fails the test."""


def envelope(meta: Mapping[str, Json] | None = None) -> JsonObject:
    """The `_meta` that a modern request carries."""
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
        **(meta or {}),
    }


HELLO: JsonObject = {
    "protocolVersion": LEGACY,
    "capabilities": {},
    "clientInfo": {"name": "raw", "version": "1"},
}


class Peer(Protocol):
    """One connection to an MCP server, past its handshake."""

    era: Era
    heard: list[JsonObject]

    async def request(self, method: str, params: JsonObject | None = None) -> JsonObject:
        """The whole JSON-RPC response to one request."""
        ...


def with_envelope(era: Era, params: JsonObject | None) -> JsonObject:
    body = dict(params or {})
    if era == "modern":
        body["_meta"] = envelope(body.get("_meta"))
    return body


@dataclass
class StdioPeer:
    """A server started as a child process."""

    era: Era
    process: warm.Process
    ids: count[int] = field(default_factory=lambda: count(1))
    heard: list[JsonObject] = field(default_factory=list)

    async def send(self, message: JsonObject) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        await self.process.stdin.drain()

    async def receive(self) -> JsonObject:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)
        assert line, "the server closed its output"
        message: JsonObject = json.loads(line)
        return message

    async def request(self, method: str, params: JsonObject | None = None) -> JsonObject:
        number = next(self.ids)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": with_envelope(self.era, params)}
        await self.send(message)
        while True:
            answer = await self.receive()
            if answer.get("id") == number and "method" not in answer:
                return answer
            self.heard.append(answer)


@asynccontextmanager
async def stdio(
    argv: Sequence[str], era: Era, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> AsyncIterator[StdioPeer]:
    """A peer on a server started with `argv`; it is ended by closing its input, or killed after a while."""
    pipe, limit = asyncio.subprocess.PIPE, 64 * 2**20
    process: warm.Process
    if Path(argv[0]).name == "mcp-shim":
        process = await warm.start(argv, env or os.environ, stdin=pipe, stdout=pipe, folder=cwd, limit=limit)
    else:
        process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, env=env, cwd=cwd, limit=limit)
    peer = StdioPeer(era, process)
    try:
        if era == "legacy":
            hello = await peer.request("initialize", HELLO)
            assert "result" in hello, hello
            await peer.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield peer
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


@dataclass
class HttpPeer:
    """A server at a URL."""

    era: Era
    url: str
    client: httpx2.AsyncClient
    headers: dict[str, str]
    ids: count[int] = field(default_factory=lambda: count(1))
    heard: list[JsonObject] = field(default_factory=list)
    last: httpx2.Response | None = None

    async def post(self, message: JsonObject, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        body = json.dumps(message).encode()
        self.last = await self.client.post(self.url, content=body, headers={**self.headers, **(headers or {})})
        return self.last

    async def request(self, method: str, params: JsonObject | None = None) -> JsonObject:
        number = next(self.ids)
        body = with_envelope(self.era, params)
        headers: dict[str, str] = {}
        if self.era == "modern":
            headers = {"mcp-method": method}
            if method in NAMED:
                headers["mcp-name"] = encode_header_value(body[NAMED[method]])
        response = await self.post({"jsonrpc": "2.0", "id": number, "method": method, "params": body}, headers)
        for message in messages(response):
            if message.get("id") == number and "method" not in message:
                return message
            self.heard.append(message)
        raise AssertionError(f"no answer to {method}: {response.status_code} {response.text[:500]}")


def messages(response: httpx2.Response) -> list[JsonObject]:
    """The JSON-RPC messages of a response, from JSON or an event stream."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        return [json.loads(response.content)]
    found = []
    for event in response.content.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
        if data:
            found.append(json.loads(data))
    return found


@asynccontextmanager
async def http(url: str, era: Era, *, token: str | None = None) -> AsyncIterator[HttpPeer]:
    """A peer on the server at `url`."""
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    if era == "modern":
        headers["mcp-protocol-version"] = MODERN
    async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        peer = HttpPeer(era, url, client, headers)
        if era == "legacy":
            hello = await peer.request("initialize", HELLO)
            assert "result" in hello, hello
            assert peer.last is not None
            session = peer.last.headers.get("mcp-session-id")
            if session is not None:
                peer.headers["mcp-session-id"] = session
            peer.headers["mcp-protocol-version"] = hello["result"]["protocolVersion"]
            await peer.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield peer
