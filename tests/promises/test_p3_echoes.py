"""P3: a hostile upstream says its credential in every place and writing, and nobody ever reads it."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest

from shim.record.export import FORMATS
from tests.promises.running import Running, identity, run, serving, token, write_config
from tests.promises.wire import HttpPeer, http
from tests.secrets.asking import put

SERVER = Path(__file__).with_name("echoing.py")
UPSTREAMS = ("modern-stdio", "legacy-stdio", "modern-http", "legacy-http")
SECRET = "Q7x+zY/0-w_Rk=%41&b;\"c'9\\uVtZ"


@asynccontextmanager
async def over_http(era: str, name: str) -> AsyncIterator[str]:
    argv = (sys.executable, "-S", "-E", "-u", str(SERVER), era, name, "http")
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}/mcp"
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def hostile(folder: Path) -> AsyncIterator[tuple[Path, Running]]:
    """A shim before four of them, each with the secret and its catalog read with it."""
    put(folder / "key", SECRET)
    async with AsyncExitStack() as stack:
        lines = []
        for name in UPSTREAMS:
            era, kind = name.split("-")
            if kind == "stdio":
                argv = json.dumps([sys.executable, "-S", "-E", "-u", str(SERVER), era, name])
                lines.append(f'  {name}: {{command: {argv}, env: {{KEY: "${{secret:key}}"}}, catalog: {{key: key}}}}')
            else:
                url = await stack.enter_async_context(over_http(era, name))
                header = 'Authorization: "Bearer ${secret:key}"'
                lines.append(f"  {name}: {{url: {url}, headers: {{{header}}}, catalog: {{key: key}}}}")
        config = write_config(
            folder,
            "version: 1\nstore: sqlite:shim.db\nupstreams:\n"
            + "\n".join(lines)
            + f"\nidentities:\n{identity('alice')}"
            + 'grants:\n  - {name: all, to: [alice], allow: ["**", "prompt:**", "resource:**"]}\n'
            + "secrets:\n  key: {source: file, path: key}\n",
        )
        yield config, await stack.enter_async_context(serving(config))


class Reader:
    """A client that keeps all bytes it was sent."""

    def __init__(self, peer: HttpPeer) -> None:
        self._peer = peer
        self.read: list[bytes] = []

    async def request(self, method: str, **params: object) -> str:
        answer = await self._peer.request(method, params)
        assert self._peer.last is not None
        self.read += (self._peer.last.content, repr(self._peer.last.headers.raw).encode())
        return json.dumps(answer)

    async def call(self, upstream: str, tool: str, seed: int, n: int) -> str:
        meta = {"progressToken": "t", "io.modelcontextprotocol/logLevel": "debug"}
        return await self.request(
            "tools/call", name=f"{upstream}__{tool}", arguments={"seed": seed, "n": n}, _meta=meta
        )


async def everything(reader: Reader, upstream: str, calls: int, n: int) -> None:
    """Every place, and `calls` results with `n` tens of echoes in each."""
    for method in ("tools/list", "prompts/list", "resources/list"):
        assert "[secret:key]" in await reader.request(method)
    for seed in range(calls):
        assert "[secret:key]" in await reader.call(upstream, "echo", seed, n)
    assert "[secret:key]" in await reader.call(upstream, "fails", 5, 1)
    assert "[secret:key]" in await reader.call(upstream, "tells", 0, 30)
    await reader.call(upstream, "refuses", 0, 1)
    await reader.call(upstream, "says", 0, 40)
    assert "[secret:key]" in await reader.request("resources/read", uri=f"echo-{upstream}://it")
    assert "[secret:key]" in await reader.request("prompts/get", name=f"{upstream}__it")


def plainer(text: str) -> str:
    """The text with one layer of escapes undone, not by the way that is under test."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    text = re.sub(r"\\([\"\\/])", r"\1", text)
    text = re.sub("%u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return html.unescape(unquote(text, "latin-1"))


def leaks(data: bytes) -> set[str]:
    """How the secret can still be read in what somebody got. Of its escapes, too, which are undone with the rest."""
    found, text = set(), data.decode("utf-8", "replace")
    cores = [base64.b64encode(bytes(shift) + SECRET.encode())[4:-4].decode() for shift in range(3)]
    wanted = {SECRET, plainer(SECRET), plainer(SECRET)[:12], SECRET[:10], SECRET[-9:]}
    for _ in range(6):
        found |= {one for one in wanted if one in text}
        joined = re.sub(r"\s|\\+[rn]", "", text)
        found |= {"base64" for core in cores if core in joined.replace("-", "+").replace("_", "/")}
        found |= {"hex"} if SECRET.encode().hex() in joined.lower() else set()
        text = plainer(text)
    return found


async def nothing_leaked(reader: Reader, config: Path, shim: Running, echoes: int) -> None:
    assert leaks(b"\n".join(reader.read)) == set()
    assert leaks("".join(shim.errors).encode()) == set()
    assert any("[secret:key]" in line and "shim.upstream.modern-stdio" in line for line in shim.errors)
    assert leaks(b"\n".join(path.read_bytes() for path in config.parent.glob("shim.db*"))) == set()
    for format_ in FORMATS:
        code, out, err = await run(config, "log", "export", "--format", format_)
        assert (code, leaks(out.encode()), leaks(err.encode())) == (0, set(), set())
        if format_ == "jsonl":
            rows = [json.loads(line) for line in out.splitlines()]
            assert sum(row["redactions"] for row in rows) >= echoes
    _, events, _ = await run(config, "log", "export", "--format", "jsonl", "--events")
    told = [json.loads(json.loads(line)["event"]) for line in events.splitlines()]
    bodies = [event["body"] for event in told if event["kind"] == "lease.echoed"]
    assert {body["upstream"] for body in bodies} == set(UPSTREAMS)
    assert sum(body["found"]["[secret:key]"] for body in bodies) >= echoes


async def shown_by(tmp_path: Path, calls: int, n: int) -> None:
    async with hostile(tmp_path) as (config, shim):
        async with http(shim.url, "modern", token=token("alice")) as peer:
            reader = Reader(peer)
            for upstream in UPSTREAMS:
                await everything(reader, upstream, calls, n)
        assert b"nothing-was" not in b"".join(reader.read)
    await nothing_leaked(reader, config, shim, echoes=len(UPSTREAMS) * calls * n * 10)


async def test_what_a_hostile_upstream_says_of_its_credential_reaches_nobody(tmp_path: Path) -> None:
    await shown_by(tmp_path, calls=2, n=5)


@pytest.mark.soak
async def test_ten_thousand_echoes_reach_nobody(tmp_path: Path) -> None:
    await shown_by(tmp_path, calls=65, n=5)
