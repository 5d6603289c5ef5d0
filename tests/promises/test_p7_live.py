"""P7: a running shim takes a good configuration into force between two requests, and never a bad one."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import move
from typing import Literal

import pytest
from mcp import Client, MCPError

from tests.parts.odd import read_ledger
from tests.promises import wire
from tests.promises.changing import (
    SECONDS,
    Mode,
    Setting,
    Told,
    connected,
    events,
    known,
    lives,
    names,
    odd,
    said,
    setting,
    until,
    windowed,
)
from tests.promises.running import run, serving, token

__all__ = ["known", "setting"]


@asynccontextmanager
async def reached(
    setting: Setting, transport: Literal["http", "stdio"], mode: Mode
) -> AsyncIterator[tuple[Client, Told]]:
    if transport == "stdio":
        async with windowed(setting.path, "ben", mode) as found:
            yield found
    else:
        async with serving(setting.path) as shim, connected(shim.url, "ben", mode) as found:
            yield found


async def loaded_here(setting: Setting) -> list[str]:
    """The policies that the shim of this test has had, in order."""
    found = await events(setting.path, "config.loaded")
    return [event["policy"] for event in found if event["process"] == found[-1]["process"]]


async def has_loaded(setting: Setting, count: int) -> bool:
    return len(await loaded_here(setting)) >= count


async def sees(client: Client, *expected: str) -> bool:
    return await names(client) == list(expected)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_uncomment_a_line_and_the_assistant_has_the_tool(
    transport: Literal["http", "stdio"], mode: Mode, setting: Setting
) -> None:
    async with reached(setting, transport, mode) as (client, told):
        assert await names(client) == ["odd__echo"]
        # when a line is uncommented
        setting.grants["ben"] = "odd/echo, odd/note"
        setting.save()
        # then the client is told, and has the tool
        await told.reaches(1)
        assert await names(client) == ["odd__echo", "odd__note"]
        assert not (await client.call_tool("odd__note", {"id": "n"})).is_error
        # and when what others see changes, then it is not told
        setting.grants["ann"] = "odd/echo, odd/large"
        setting.save()
        await until(lambda: has_loaded(setting, 3))
        setting.grants["ben"] = "odd/note"
        setting.save()
        await told.reaches(2)
        assert await names(client) == ["odd__note"]
        assert told.count == 2
        with pytest.raises(MCPError, match="Unknown tool: odd__echo"):
            await client.call_tool("odd__echo", {})


async def test_another_sees_and_hears_nothing_of_it(setting: Setting) -> None:
    async with (
        serving(setting.path) as shim,
        connected(shim.url, "ben", "legacy") as (ben, told),
        connected(shim.url, "ann", "legacy") as (_, heard),
    ):
        before = await names(ben)
        for tools in ("odd/echo", "odd/echo, odd/note, odd/slow"):
            setting.grants["ann"] = tools
            setting.save()
            await heard.reaches(heard.count + 1)
        assert await names(ben) == before
        assert told.count == 0


async def test_an_upstream_comes_and_goes_and_the_others_stay(setting: Setting) -> None:
    extra = odd("more", setting.folder / "more")
    async with serving(setting.path) as shim, connected(shim.url, "ben", "auto") as (client, told):
        await client.call_tool("odd__echo", {})
        setting.upstreams.append(extra)
        setting.grants["ben"] = "odd/echo, more/echo"
        setting.save()
        await told.reaches(1)
        assert await names(client) == ["odd__echo", "more__echo"]
        assert not (await client.call_tool("more__echo", {})).is_error
        (pid,) = {row["pid"] for row in read_ledger(setting.folder / "more")}
        setting.upstreams.remove(extra)
        setting.grants["ben"] = "odd/echo"
        setting.save()
        await told.reaches(2)
        await client.call_tool("odd__echo", {})
    # then the one that stayed was never started anew, and the other ended
    assert len({row["pid"] for row in read_ledger(setting.ledger)}) == 1
    assert not lives(pid)


async def test_a_running_call_ends_with_the_upstream_it_began_with(setting: Setting) -> None:
    setting.upstreams = [odd("odd", setting.ledger), odd("more", setting.folder / "more")]
    setting.grants["ben"] = "odd/echo, more/progress, more/slow, more/echo"
    setting.save()
    async with serving(setting.path) as shim, connected(shim.url, "ben", "auto") as (client, told):
        await client.call_tool("more__echo", {})
        async with asyncio.TaskGroup() as group:
            # given a call that runs
            task = group.create_task(client.call_tool("more__slow", {"key": "k"}))
            await until(lambda: read_ledger(setting.folder / "more")[-1]["tool"] == "slow")
            pid = read_ledger(setting.folder / "more")[-1]["pid"]
            # when its upstream is taken out
            setting.upstreams.pop()
            setting.grants["ben"] = "odd/echo"
            setting.save()
            await told.reaches(1)
            with pytest.raises(MCPError, match="Unknown tool: more__echo"):
                await client.call_tool("more__echo", {})
            # then the call goes on, in the same process, which ends with it
            assert not task.done()
            assert lives(pid)
            task.cancel()
        await until(lambda: not lives(pid))
    _, out, _ = await run(setting.path, "log", "list", "--tool", "more/slow", "--json")
    (row,) = json.loads(out)
    assert (row["status"], row["policy"]) == ("cancelled", (await loaded_here(setting))[0])


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_who_is_taken_out_is_nobody_with_the_next_request(era: wire.Era, setting: Setting) -> None:
    async with serving(setting.path) as shim, wire.http(shim.url, era, token=token("ben")) as ben:
        assert "result" in await ben.request("tools/call", {"name": "odd__echo", "arguments": {}})
        method = "GET" if era == "legacy" else "POST"
        listen = {"notifications": {"toolsListChanged": True}}
        body = {
            "jsonrpc": "2.0",
            "id": "l",
            "method": "subscriptions/listen",
            "params": wire.with_envelope(era, listen),
        }
        more = {"mcp-method": "subscriptions/listen"} if era == "modern" else {"accept": "text/event-stream"}
        content = json.dumps(body).encode() if era == "modern" else None
        async with ben.client.stream(method, shim.url, content=content, headers={**ben.headers, **more}) as stream:
            assert stream.status_code == 200
            # when the identity is taken out
            del setting.identities["ben"], setting.grants["ben"]
            setting.save()
            # then its stream ends, and it is a stranger
            async with asyncio.timeout(SECONDS):
                await stream.aread()
        answer = await ben.post({"jsonrpc": "2.0", "id": 7, "method": "tools/list"})
        assert answer.status_code == 401


async def test_groups_hold_from_the_next_message_on(setting: Setting) -> None:
    # given sessions that stay open: legacy over HTTP, and one of each era over stdio
    setting.grants = {"ben": "odd/note", "group:a": "odd/echo"}
    setting.save()
    async with (
        serving(setting.path) as shim,
        connected(shim.url, "ben", "legacy") as (http, told),
        windowed(setting.path, "ben", "legacy") as (window, heard),
        windowed(setting.path, "ben", "auto") as (modern, noticed),
    ):
        for client in (http, window, modern):
            assert await names(client) == ["odd__note"]
        # when its groups are others
        setting.identities["ben"] = "a, b"
        setting.save()
        for notices in (told, heard, noticed):
            await notices.reaches(1)
        for client in (http, window, modern):
            assert await names(client) == ["odd__echo", "odd__note"]
            assert not (await client.call_tool("odd__echo", {})).is_error


BAD = {
    "a word": "version: 1\nupstreams: {a: {command: [x], isolatoin: shared}}\n",
    "half": "version: 1\nupstreams: {\n",
    "empty": "",
    "a grant to nobody": "version: 1\nupstreams: {}\ngrants: [{name: g, to: [nobody], allow: ['*/*']}]\n",
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_one_changes_nothing_and_is_said_and_recorded(bad: str, setting: Setting) -> None:
    async with serving(setting.path) as shim, connected(shim.url, "ben", "legacy") as (client, told):
        before = await names(client)
        setting.save(BAD[bad])
        await until(lambda: bool(said(shim, "is refused")))
        assert await names(client) == before
        assert not (await client.call_tool("odd__echo", {})).is_error
        # and when it is mended, that is said
        setting.save()
        await until(lambda: bool(said(shim, "the configuration is mended")))
        assert told.count == 0
        lines = said(shim, f"{setting.path}:")
    refused = (await events(setting.path, "config.refused"))[-1]
    assert refused["policy"] == hashlib.sha256(BAD[bad].encode()).hexdigest()
    assert refused["count"] == len(refused["problems"]) == len(lines) > 0
    for problem in refused["problems"]:
        message = json.dumps(f"{problem['file']}:{problem['line']}: {problem['message']}")[1:-1]
        assert sum(message in line for line in lines) == 1
    assert len(await loaded_here(setting)) == 1
    code, _, _ = await run(setting.path, "log", "verify")
    assert code == 0


async def test_a_file_that_is_gone_is_a_bad_one(setting: Setting) -> None:
    async with serving(setting.path) as shim, connected(shim.url, "ben", "auto") as (client, _):
        move(setting.path, setting.folder / "away")
        await until(lambda: bool(said(shim, "cannot be read")))
        assert not (await client.call_tool("odd__echo", {})).is_error
        move(setting.folder / "away", setting.path)
        await until(lambda: bool(said(shim, "the configuration is mended")))
    (refused,) = await events(setting.path, "config.refused")
    assert refused["policy"] is None


async def test_what_is_settled_at_the_start_is_refused_as_a_whole(setting: Setting) -> None:
    async with serving(setting.path) as shim, connected(shim.url, "ben", "auto") as (client, _):
        # when a new grant comes together with what cannot change
        setting.top = "server: {listen: 127.0.0.1:1, allowed_hosts: [a.example]}\nrecord: {results: full}\n"
        setting.grants["ben"] = "odd/echo, odd/note"
        setting.save()
        await until(lambda: bool(said(shim, "is refused")))
        for key, line in (("server.listen", 3), ("server.allowed_hosts", 3), ("record.results", 4)):
            words = f"{setting.path}:{line}: `{key}` cannot change while the shim runs: restart it"
            assert len(said(shim, words)) == 1
        assert await names(client) == ["odd__echo"]
        # and when only the rest is left, that holds
        setting.top = ""
        setting.save()
        await until(lambda: sees(client, "odd__echo", "odd__note"))
    (refused,) = await events(setting.path, "config.refused")
    assert refused["count"] == 3
    assert refused["policy"] not in await loaded_here(setting)


async def test_a_signal_asks_for_a_reading(setting: Setting) -> None:
    async with serving(setting.path) as shim:
        shim.process.send_signal(signal.SIGHUP)
        await until(lambda: bool(said(shim, "the configuration was read, as asked")))
        assert shim.process.returncode is None


async def test_every_past_decision_is_explained_by_what_decided_it(setting: Setting) -> None:
    setting.grants["ben"] = "odd/echo"
    setting.save()
    async with serving(setting.path) as shim, connected(shim.url, "ben", "legacy") as (client, told):
        await client.call_tool("odd__echo", {})
        setting.grants["ben"] = "odd/note"
        setting.save()
        await told.reaches(1)
        with pytest.raises(MCPError):
            await client.call_tool("odd__echo", {})
    _, out, _ = await run(setting.path, "log", "list", "--identity", "ben", "--json")
    rows = json.loads(out)
    assert sorted(row["decision"] for row in rows) == ["allow", "deny"]
    # and long after, when the configuration is another again, and one of its files is gone
    del setting.identities["ann"], setting.grants["ann"]
    setting.save()
    for row in rows:
        call = ["explain", "--identity", "ben", "--tool", "odd/echo", "--json"]
        code, out, err = await run(setting.path, *call, "--policy", row["policy"][:8])
        assert code == 0, err
        assert json.loads(out)["decision"] == row["decision"]
    code, _, err = await run(setting.path, *call, "--policy", "0" * 12)
    assert (code, "no policy on the record begins with 000000000000" in err) == (1, True)
    code, _, err = await run(setting.path, *call, "--policy", "xyz")
    assert (code, "8 or more" in err) == (2, True)


async def has_refused(config: Path) -> bool:
    return bool(await events(config, "config.refused"))


async def test_bad_and_good_over_stdio(setting: Setting) -> None:
    async with windowed(setting.path, "ben", "legacy") as (client, told):
        assert await names(client) == ["odd__echo"]
        reading = setting.path.with_name("reading.yaml")
        reading.write_text(setting.path.read_text())
        setting.save("version: 1\n")
        await until(lambda: has_refused(reading))
        assert await names(client) == ["odd__echo"]
        assert not (await client.call_tool("odd__echo", {})).is_error
        setting.grants["ben"] = "odd/note"
        setting.save()
        await told.reaches(1)
        assert await names(client) == ["odd__note"]
        # and when the identity is gone, then the window is nobody's
        del setting.identities["ben"], setting.grants["ben"]
        setting.save()
        with pytest.raises(MCPError, match="Authentication required"):
            await until(lambda: sees(client))
