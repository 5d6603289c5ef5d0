"""P3: credentials never reach the model, nor anyone else: a caller's own token stays at the face, and a secret for an
upstream is seen by that upstream alone.

What an upstream itself says of its secret is not taken out of its answers by this version; these upstreams keep it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shim.model import JsonObject
from tests.parts.odd import ROOT, odd_argv, odd_http
from tests.promises.running import BIN, identity, run, serving, token, write_config
from tests.promises.wire import Era, Peer, http
from tests.secrets.asking import put
from tests.upstream.web import serving as recording


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


def command_lines() -> bytes:
    """Those of every process that there is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.append((process / "cmdline").read_bytes())
        except OSError:
            continue
    return b"\n".join(found)


async def echoes(caller: Peer) -> list[JsonObject]:
    """One call of each upstream."""
    arguments = {"text": "hello"}
    names = ("web__echo", "odd__echo")
    return [await caller.request("tools/call", {"name": name, "arguments": arguments}) for name in names]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_secret_is_seen_by_its_upstream_and_by_nobody_else(tmp_path: Path, era: Era) -> None:
    values = {name: f"canary-{name}-7f3a9c51" for name in ("variable", "file", "member")}
    put(tmp_path / "file", values["file"])
    put(tmp_path / "object", json.dumps({"member": values["member"]}))
    seen = tmp_path / "seen"
    script = put(tmp_path / "server", f'#!/bin/sh\necho "$TOKEN" >> {seen}\nexec "$@"\n', 0o700)
    argv = [str(script), *odd_argv(era)]
    async with recording(era) as web:
        config = write_config(
            tmp_path,
            f"""version: 1
store: sqlite:var/shim.db
record: {{results: full, arguments: full}}
upstreams:
  web:
    url: "{web.url}"
    headers: {{Authorization: "Bearer ${{secret:variable}}", X-Key: "${{secret:object.member}}"}}
    catalog: {{variable: variable}}
  odd: {{command: {json.dumps(argv)}, cwd: {ROOT}, env: {{TOKEN: "<${{secret:file}}>"}}}}
identities:
{identity("one")}
grants:
  - {{name: all, to: [one], allow: ["odd/*", "web/*"]}}
secrets:
  variable: {{source: env, name: VARIABLE}}
  file: {{source: file, path: file}}
  object: {{source: file, path: object}}
""",
        )
        given = {"VARIABLE": values["variable"], "MCP_SHIM_DEBUG": "1", "MCP_SHIM_TOKEN": token("one")}
        async with serving(config, env=given) as shim, http(shim.url, "modern", token=token("one")) as one:
            answers = [await one.request("tools/list"), *await echoes(one)]
            listed = command_lines() if sys.platform == "linux" else b""
            # And where everything goes wrong: a secret that is gone, one that cannot be handed over.
            put(tmp_path / "object", json.dumps({"member": values["member"] + "\r\n"}))
            os.truncate(tmp_path / "file", 0)
            answers += await echoes(one)
        (call,) = web.asked("tools/call")
        assert call.headers["authorization"] == f"Bearer {values['variable']}"
        assert call.headers["x-key"] == values["member"]
        assert f"<{values['file']}>" in seen.read_text().split()
    assert [answer["result"].get("isError", False) for answer in answers[1:]] == [False, False, True, True]
    said = [await run(config, *verb, more=given) for verb in (
        ("log", "export", "--format", "jsonl", "--events"),
        ("log", "export", "--format", "csv"),
        ("log", "list"),
        ("check", "--json"),
        ("call", "--identity", "one", "web/echo"),
        ("tools",),
    )]  # fmt: skip
    places = {
        "the answers": json.dumps(answers).encode(),
        "the log of the process": "".join(shim.errors).encode(),
        "what the command line says": "".join(out + err for _, out, err in said).encode(),
        "command lines": listed,
        "the store's files": b"".join(path.read_bytes() for path in (tmp_path / "var").rglob("*") if path.is_file()),
    }
    assert all(places[name] for name in places if name != "command lines")
    leaks = [
        (name, what) for name, content in places.items() for what, value in values.items() if value.encode() in content
    ]
    assert leaks == []
