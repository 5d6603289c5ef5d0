"""P3: credentials never reach the model, nor anyone else: the caller's own token stays at the face.

Secrets for upstreams are not part of this version; what there is to keep is the token of each caller.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.parts.odd import odd_http
from tests.promises.running import BIN, identity, run, serving, token, write_config
from tests.promises.wire import http


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[bytes]) -> None:
    while chunk := await reader.read(65536):
        seen.append(chunk)
        writer.write(chunk)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def overheard(url: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A relay in front of an HTTP server: its URL, and every byte that was sent to the server."""
    host, port = url.removeprefix("http://").partition("/")[0].split(":")
    seen: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, there_writer, seen))
            group.create_task(_pump(there_reader, writer, []))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        own = server.sockets[0].getsockname()[1]
        yield url.replace(f":{port}", f":{own}"), seen


async def test_a_callers_token_goes_no_further_than_the_face(tmp_path: Path) -> None:
    async with odd_http("both") as real, overheard(real) as (url, seen):
        config = write_config(
            tmp_path,
            f"""version: 1
store: sqlite:var/shim.db
upstreams:
  odd: {{url: "{url}"}}
identities:
{identity("one")}
grants:
  - {{name: all, to: [one], allow: ["odd/*"]}}
""",
        )
        async with serving(config) as shim, http(shim.url, "modern", token=token("one")) as one:
            one.headers |= {"cookie": f"session={token('one')}", "x-api-key": token("one")}
            answer = await one.request("tools/call", {"name": "odd__echo", "arguments": {"text": "hello"}})
            refused = await one.client.post(
                one.url, content=b"{}", headers={**one.headers, "authorization": f"Bearer {token('one')}x"}
            )
    assert answer["result"]["structuredContent"] == {"text": "hello"}
    assert refused.status_code == 401
    _, exported, _ = await run(config, "log", "export", "--format", "jsonl", "--events")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "var").rglob("*") if path.is_file())
    places = {
        "the upstream": b"".join(seen),
        "the answers": json.dumps(answer).encode() + refused.content,
        "the log of the process": "".join(shim.errors).encode(),
        "the export": exported.encode(),
        "the store's files": kept,
    }
    assert b"odd_server" in places["the upstream"] or b"tools/call" in places["the upstream"]
    secret = token("one").removeprefix("mcpshim_").encode()
    assert [name for name, content in places.items() if secret in content] == []


async def test_a_stdio_upstream_gets_only_the_environment_it_is_given(tmp_path: Path) -> None:
    program = tmp_path / "environment.sh"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\nexec {BIN}/mcp-server-time\n")
    program.chmod(0o700)
    config = write_config(
        tmp_path,
        f"""version: 1
store: sqlite:var/shim.db
upstreams:
  time: {{command: [{program}], env: {{GIVEN: "yes"}}}}
identities:
{identity("one")}
grants:
  - {{name: all, to: [one], allow: ["time/*"]}}
""",
    )
    code, out, err = await run(
        config,
        "call",
        "--identity",
        "one",
        "time/get_current_time",
        '{"timezone": "UTC"}',
        more={"MCP_SHIM_TOKEN": token("one")},
    )
    assert code == 0, out + err
    names = {line.partition("=")[0] for line in (tmp_path / "seen").read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "HOME", "LANG", "GIVEN"}
