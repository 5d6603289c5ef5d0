"""A token holds until it is revoked, over HTTP and stdio alike, and from the next request on it does not."""

from __future__ import annotations

import getpass
import json
import sqlite3
from pathlib import Path

import pytest

from tests.promises.running import SHIM, environment, run, serving
from tests.promises.wire import Era, http, stdio, with_envelope

ERAS: tuple[Era, ...] = ("modern", "legacy")


@pytest.fixture
def config(git_config: Path) -> Path:
    """As `git_config`, with an identity that has no token yet and is not local."""
    text = git_config.read_text().replace("identities:\n", "identities:\n  guest: {groups: [guests]}\n")
    git_config.write_text(text + '  - {name: guests, to: ["group:guests"], allow: [git/git_log]}\n')
    return git_config


async def issued(config: Path) -> tuple[str, str]:
    """A new token of `guest`, and its id."""
    code, out, err = await run(config, "token", "new", "guest")
    assert code == 0, err
    return out.strip(), err.split()[-1].strip(".")


@pytest.mark.parametrize("era", ERAS)
async def test_over_http(era: Era, config: Path) -> None:
    token, number = await issued(config)
    async with serving(config) as shim, http(shim.url, era, token=token) as guest:
        assert "result" in await guest.request("tools/list")
        code, _, err = await run(config, "token", "revoke", number)
        assert code == 0, err
        params = with_envelope(era, {})
        headers = {"mcp-method": "tools/list"} if era == "modern" else {}
        message = {"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": params}
        response = await guest.post(message, headers)
    assert response.status_code == 401


@pytest.mark.parametrize("era", ERAS)
async def test_over_stdio(era: Era, config: Path) -> None:
    token, number = await issued(config)
    argv = [SHIM, "stdio", "--identity", "guest", "--config", str(config)]
    async with stdio(argv, era, env={**environment(config.parent), "MCP_SHIM_TOKEN": token}) as guest:
        assert [tool["name"] for tool in (await guest.request("tools/list"))["result"]["tools"]] == ["git__git_log"]
        code, _, err = await run(config, "token", "revoke", number)
        assert code == 0, err
        assert "Authentication required" in (await guest.request("tools/list"))["error"]["message"]


async def test_both_are_on_the_record_with_who_did_it(config: Path) -> None:
    token, number = await issued(config)
    assert (await run(config, "token", "revoke", number))[0] == 0
    _, out, _ = await run(config, "log", "export", "--format", "jsonl", "--events")
    events = [json.loads(json.loads(line)["event"]) for line in out.splitlines()]
    found = {event["kind"]: event["body"] for event in events}
    assert (found["token.new"]["id"], found["token.new"]["identity"]) == (number, "guest")
    assert found["token.revoke"]["id"] == number
    assert found["token.new"]["user"] == found["token.revoke"]["user"] == getpass.getuser()
    assert token not in out


async def test_a_token_that_cannot_be_recorded_is_not_made(config: Path) -> None:
    await issued(config)
    with sqlite3.connect(config.parent / "var" / "shim.db", isolation_level=None) as store:
        store.execute("BEGIN EXCLUSIVE")
        code, out, err = await run(config, "token", "new", "guest")
        store.execute("ROLLBACK")
    store.close()
    assert (code, out) == (1, "")
    assert "could not be recorded" in err
    _, listed, _ = await run(config, "token", "list", "--json")
    assert len([one for one in json.loads(listed) if one["identity"] == "guest"]) == 1
