"""P8: every refusal has a reason code, tells the caller what it may know, and tells the record everything."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from shim.model import JsonObject
from tests.promises.running import run, serving, token
from tests.promises.wire import Era, Peer, http
from tests.store.conftest import disk_library

__all__ = ["disk_library"]

ERAS: tuple[Era, ...] = ("modern", "legacy")


def decision(answer: JsonObject) -> JsonObject:
    assert answer["result"]["isError"] is True, answer
    found: JsonObject = answer["result"]["_meta"]["io.github.mcp-shim/decision"]
    return found


@pytest.mark.parametrize("era", ERAS)
async def test_a_condition_that_does_not_hold_says_so(era: Era, git_config: Path, repository: Path) -> None:
    arguments = {"repo_path": str(repository), "message": "m" * 60}
    async with serving(git_config) as shim, http(shim.url, era, token=token("writer")) as writer:
        answer = await writer.request("tools/call", {"name": "git__git_commit", "arguments": arguments})
    said = decision(answer)
    assert (said["decision"], said["reason"], said["grant"]) == ("deny", "condition-false", "small-commits")
    assert answer["result"]["content"][0]["text"]

    code, out, err = await run(git_config, "log", "show", said["invocation"], "--json")
    assert code == 0, err
    row = json.loads(out)
    assert (row["identity"], row["tool"], row["status"]) == ("writer", "git/git_commit", "denied")
    assert row["arguments"]["message"] == "m" * 60


async def test_no_or_a_wrong_credential_is_401_and_tells_nothing(git_config: Path) -> None:
    none: dict[str, str] = {}
    wrong = ("Bearer wrong", "Basic cmVhZGVyOng=", f"bearer  {token('reader')}x", f"Bearer {token('reader')} x")
    async with serving(git_config) as shim, httpx2.AsyncClient(trust_env=False) as client:
        for headers in (none, *({"authorization": words} for words in wrong)):
            response = await client.post(shim.url, content=b"{}", headers=headers)
            assert response.status_code == 401, headers
            assert response.headers["www-authenticate"] == "Bearer"


@asynccontextmanager
async def locked(database: Path) -> AsyncIterator[None]:
    """The store locked by a program that is none of ours."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def status_of(peer: Peer, repository: Path) -> JsonObject:
    return await peer.request("tools/call", {"name": "git__git_status", "arguments": {"repo_path": str(repository)}})


async def test_a_store_that_cannot_commit_refuses_calls_and_recovers_by_itself(
    git_config: Path, repository: Path
) -> None:
    async with serving(git_config) as shim, http(shim.url, "modern", token=token("reader")) as reader:
        assert (await status_of(reader, repository))["result"].get("isError") is not True
        async with locked(git_config.parent / "var" / "shim.db"):
            refused = await status_of(reader, repository)
            ready = await asyncio.to_thread(
                httpx2.get, shim.url.replace("/mcp", "/readyz"), trust_env=False, timeout=60
            )
        assert decision(refused)["reason"] == "record-unavailable"
        assert ready.status_code == 503
        assert (await status_of(reader, repository))["result"].get("isError") is not True
        assert shim.process.returncode is None
    code, out, _ = await run(git_config, "log", "verify", "--json")
    assert code == 0, out


async def test_a_disk_that_fails_refuses_calls_and_they_go_on_when_it_is_well(
    git_config: Path, repository: Path, disk_library: Path
) -> None:
    disk = git_config.parent / "var"
    switch = git_config.parent / "fault"
    switch.write_text("")
    env = {"LD_PRELOAD": str(disk_library), "DISK_ROOT": str(disk), "DISK_FAULT": str(switch)}
    async with serving(git_config, env=env) as shim, http(shim.url, "modern", token=token("reader")) as reader:
        assert (await status_of(reader, repository))["result"].get("isError") is not True
        for fault in ("full", "read-only", "sync-fails"):
            switch.write_text({"full": "F", "read-only": "R", "sync-fails": "S"}[fault])
            refused = [decision(await status_of(reader, repository))["reason"] for _ in range(2)]
            switch.write_text("")
            well = await status_of(reader, repository)
            assert refused == ["record-unavailable"] * 2, fault
            assert well["result"].get("isError") is not True, fault
    code, out, _ = await run(git_config, "log", "verify", "--json")
    assert code == 0, out


def take_the_server_away(config: Path) -> None:
    config.write_text(config.read_text().replace("/mcp-server-git,", "/no-such-program,"))


async def test_a_tool_whose_upstream_is_down_is_known_from_the_last_catalog(git_config: Path, repository: Path) -> None:
    async with serving(git_config) as shim, http(shim.url, "modern", token=token("reader")) as reader:
        listed = (await reader.request("tools/list"))["result"]["tools"]
    take_the_server_away(git_config)
    async with serving(git_config) as shim, http(shim.url, "modern", token=token("reader")) as reader:
        assert (await reader.request("tools/list"))["result"]["tools"] == listed
        refused = decision(await status_of(reader, repository))
        hidden = await reader.request("tools/call", {"name": "git__git_commit", "arguments": {}})
    assert (refused["decision"], refused["reason"]) == ("allow", "upstream-unavailable")
    assert hidden["error"] == {"code": -32602, "message": "Unknown tool: git__git_commit"}


async def test_malformed_requests_of_a_known_identity_are_on_the_record(git_config: Path) -> None:
    bodies = [b"{", b'{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}', b'{"jsonrpc":"2.0","x":NaN}', b"[" * 200]
    async with serving(git_config) as shim, http(shim.url, "modern", token=token("reader")) as reader:
        for body in bodies:
            response = await reader.client.post(reader.url, content=body, headers=reader.headers)
            assert response.status_code == 400
            assert "error" in response.json()
    code, out, err = await run(git_config, "log", "export", "--format", "jsonl", "--events")
    assert code == 0, err
    events = [json.loads(json.loads(line)["event"]) for line in out.splitlines()]
    refused = [event["body"] for event in events if event["kind"] == "request.refused"]
    assert [body["identity"] for body in refused] == ["reader"] * len(bodies)
    assert {body["reason"] for body in refused} == {"invalid-request"}
