"""`serve` and `stdio`: starting, saying so, and stopping."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import socket
from pathlib import Path

import pytest

from shim.model import JsonObject
from tests.cli.conftest import edit
from tests.promises.running import BIN, SHIM, START, environment, run, serving


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_where_it_listens_and_stops_when_told(config: Path, number: signal.Signals) -> None:
    async with serving(config) as shim:
        assert shim.url.startswith("http://127.0.0.1:")
        shim.process.send_signal(number)
        assert await shim.process.wait() == 0
    for line in shim.errors:
        assert line.startswith("listening on ") or json.loads(line)["level"] in ("info", "warning")
    code, out, _ = await run(config, "log", "verify", "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)


async def test_a_closed_window_ends_it_in_good_order(config: Path) -> None:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(SHIM, "serve", "--config", str(config), "--listen", "127.0.0.1:0"),
        stderr=theirs,
        env=environment(config.parent),
    )
    os.close(theirs)
    said = b""
    while b"listening on" not in said:
        said += await asyncio.wait_for(asyncio.to_thread(os.read, ours, 4096), START)
    process.send_signal(signal.SIGHUP)
    assert await asyncio.wait_for(process.wait(), START) == 0
    os.close(ours)
    _, out, _ = await run(config, "log", "export", "--format", "jsonl", "--events")
    assert '"server.stop' in out.replace("\\", "")


async def test_a_port_that_is_taken_is_a_line(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = await run(config, "serve", "--listen", address)
    assert code == 1
    assert f"cannot listen on {address}" in err
    assert "Traceback" not in err


async def test_one_client_over_stdio(config: Path) -> None:
    server = f"[{BIN}/mcp-server-time"
    edit(config, server, f'[/bin/sh, -c, \'echo I am here >&2; exec "$0" "$@"\', {server[1:]}')
    process = await asyncio.create_subprocess_exec(
        *(SHIM, "stdio", "--identity", "writer", "--config", str(config)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(config.parent),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    for message in (hello, ready, listing):
        process.stdin.write(json.dumps(message).encode() + b"\n")
    answers: dict[int, JsonObject] = {}
    while len(answers) < 2:
        message = json.loads(await asyncio.wait_for(process.stdout.readline(), START))
        # Notices, such as of a list that changed while servers were still starting, have no id.
        if "id" in message:
            answers[message["id"]] = message["result"]
    process.stdin.close()
    assert process.stderr is not None
    lines = [json.loads(line) for line in (await process.stderr.read()).splitlines()]
    assert await process.wait() == 0
    assert ("shim.upstream.time", "I am here") in {(line["logger"], line["message"]) for line in lines}
    assert answers[1]["protocolVersion"] == "2025-11-25"
    assert "git__git_commit" in {tool["name"] for tool in answers[2]["tools"]}
