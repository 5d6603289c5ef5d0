"""A hostile MCP server that says its credential in every place and writing, in either era, over stdio or HTTP.

`echoing.py ERA NAME [http]`. Over stdio the credential is the variable KEY, over HTTP what follows `Bearer` in the
request; over HTTP the port is printed. With the standard library alone.
"""

from __future__ import annotations

import base64
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.secrets.writings import WRITINGS

Obj: TypeAlias = dict[str, Any]

ERA, NAME = sys.argv[1:3]
NAMES = tuple(WRITINGS)
TOOLS = ("echo", "fails", "tells", "says", "refuses")
CAPABILITIES: Obj = {"tools": {}, "prompts": {}, "resources": {}, "logging": {}}


class Echoes:
    """What is said in one answer: the writings in turn, so that none is left out."""

    def __init__(self, secret: str, seed: int) -> None:
        self._secret = secret
        self._dice = random.Random(seed)
        self._turn = seed

    def one(self) -> str:
        self._turn += 1
        return WRITINGS[NAMES[self._turn % len(NAMES)]](self._secret, self._dice)

    def halves(self) -> tuple[str, str]:
        text = self.one()
        cut = self._dice.randrange(1, len(text))
        return text[:cut], text[cut:]

    def blocks(self) -> list[Obj]:
        """Five echoes: in a text, over two blocks, in a resource, in a link, and in binary data."""
        first, second = self.halves()
        data = base64.b64encode(b"\x00\xff" + self.one().encode() + b"\x80").decode()
        return [
            {"type": "text", "text": f"It is {self.one()}, really.", "_meta": {"again": self.one()}},
            {"type": "image", "mimeType": "image/png", "data": data},
            {"type": "text", "text": f"Begin {first}"},
            {"type": "text", "text": f"{second} end"},
            {"type": "resource", "resource": {"uri": f"echo-{NAME}://it", "text": self.one()}},
        ]

    def deep(self) -> Obj:
        """Five: a key, a value, split, deep, and in JSON of its own."""
        found: Obj = {"at": self.one()}
        for _ in range(20):
            found = {"in": [found]}
        split = ["before ", *self.halves(), " after"]
        return {self.one(): 1, "value": self.one(), "split": split, "deep": found, "j": json.dumps([self.one()])}


def finished(value: Obj) -> Obj:
    return {"resultType": "complete", **value} if ERA == "modern" else value


def answers(message: Obj, secret: str) -> Iterator[Obj]:
    """The notices and the answer to one request."""
    method, params = message.get("method", ""), message.get("params") or {}
    try:
        for one in said(method, params, secret):
            yield {"jsonrpc": "2.0", **one} if "method" in one else {"jsonrpc": "2.0", "id": message["id"], **one}
    except KeyError:
        yield {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": f"no, {secret}"}}


def said(method: str, params: Obj, secret: str) -> Iterator[Obj]:
    arguments = params.get("arguments") or {}
    echoes = Echoes(secret, int(arguments.get("seed", 0)))
    information = {"name": "echoing", "version": echoes.one(), "title": echoes.one()}
    if method == "server/discover" and ERA == "modern":
        meta = {"io.modelcontextprotocol/serverInfo": information}
        found = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES, "_meta": meta}
        yield {"result": finished({**found, "instructions": echoes.one(), "ttlMs": 600_000, "cacheScope": "public"})}
    elif method == "initialize" and ERA == "legacy":
        found = {"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "serverInfo": information}
        yield {"result": {**found, "instructions": echoes.one()}}
    elif method == "tools/list":
        yield {
            "result": listed(
                "tools",
                [
                    {
                        "name": name,
                        "description": echoes.one(),
                        "inputSchema": {"type": "object", "title": echoes.one()},
                    }
                    for name in TOOLS
                ],
            )
        }
    elif method == "prompts/list":
        yield {"result": listed("prompts", [{"name": "it", "description": echoes.one()}])}
    elif method == "resources/list":
        yield {"result": listed("resources", [{"uri": f"echo-{NAME}://it", "name": echoes.one()}])}
    elif method == "resources/templates/list":
        yield {"result": listed("resourceTemplates", [])}
    elif method == "resources/read":
        blob = base64.b64encode(echoes.one().encode()).decode()
        uri = params["uri"]
        yield {"result": listed("contents", [{"uri": uri, "text": echoes.one()}, {"uri": uri, "blob": blob}])}
    elif method == "prompts/get":
        messages = [{"role": "user", "content": block} for block in echoes.blocks()[:1]]
        yield {"result": finished({"description": echoes.one(), "messages": messages})}
    elif method == "tools/call":
        yield from called(params, echoes, int(arguments.get("n", 1)))
    else:
        raise KeyError(method)


def listed(name: str, items: list[Obj]) -> Obj:
    return finished({name: items, **({"ttlMs": 600_000, "cacheScope": "public"} if ERA == "modern" else {})})


def called(params: Obj, echoes: Echoes, number: int) -> Iterator[Obj]:
    """`n` is in tens of echoes; for `tells` and `says` it is how many of each."""
    name = params["name"]
    if name == "echo":
        content = [block for _ in range(number) for block in echoes.blocks()]
        structured = {f"part {index}": echoes.deep() for index in range(number)}
        yield {"result": finished({"content": content, "structuredContent": structured, "_meta": {"k": echoes.deep()}})}
    elif name == "tells":
        token = params.get("_meta", {}).get("progressToken")
        for index in range(number):
            told = {"progressToken": token, "progress": index, "message": echoes.one(), "_meta": {"m": echoes.one()}}
            if token is not None:
                yield {"method": "notifications/progress", "params": told}
            data = {"level": "warning", "logger": echoes.one(), "data": {"d": echoes.one(), echoes.one(): 1}}
            yield {"method": "notifications/message", "params": data}
        yield {"result": finished({"content": echoes.blocks(), "isError": True})}
    elif name == "says":
        for _ in range(number):
            print("Error:", echoes.one(), file=sys.stderr, flush=True)
        # Over two reads, in the middle.
        line = f"Error: {echoes.one()}\n".encode()
        os.write(2, line[: len(line) // 2])
        time.sleep(0.01)
        os.write(2, line[len(line) // 2 :])
        yield {"result": finished({"content": []})}
    else:
        yield {"error": {"code": -32000, "message": echoes.one(), "data": echoes.deep()}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        secret = self.headers.get("authorization", "Bearer nothing-was-sent").removeprefix("Bearer ")
        if message.get("method") == "server/discover" and ERA == "legacy":
            self._answer(400, json.dumps({"jsonrpc": "2.0", "id": "x", "error": {"code": -32600, "message": "no"}}))
        elif "id" not in message:
            self._answer(202, "")
        elif message.get("params", {}).get("name") == "refuses":
            refused = {
                "WWW-Authenticate": f'Bearer error="{secret}"',
                "Retry-After": secret,
                "X-Echo": secret.encode().hex(),
            }
            self._answer(401, json.dumps({"error": secret}), refused)
        else:
            self._stream([*answers(message, secret)], {"Mcp-Session-Id": f"id-{secret}"} if ERA == "legacy" else {})

    def _answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status, "No")
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def _stream(self, messages: list[Obj], headers: dict[str, str]) -> None:
        body = "".join(f"event: message\ndata: {json.dumps(one)}\n\n" for one in messages)
        self._answer(200, body, {"content-type": "text/event-stream", **headers})

    def do_GET(self) -> None:
        self._answer(405, "")

    def do_DELETE(self) -> None:
        self._answer(200, "")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its signature)
        pass


if sys.argv[3:] == ["http"]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
for line in iter(sys.stdin.buffer.readline, b""):
    request = json.loads(line)
    if "id" in request and "method" in request:
        for answer in answers(request, os.environ.get("KEY", "nothing-was-handed")):
            sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
