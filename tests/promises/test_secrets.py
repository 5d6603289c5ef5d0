"""What the record says of secrets, however a call ends; and that two identities never share a process that has one."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from shim.model import JsonObject
from tests.parts.odd import ROOT, odd_argv, read_ledger
from tests.promises.running import Running, identity, run, serving, token, write_config
from tests.promises.wire import Era, http
from tests.secrets.asking import put

ERAS: tuple[Era, ...] = ("modern", "legacy")


def configured(folder: Path, era: Era = "modern", timeout: str = "2m") -> Path:
    """The odd server with a secret in its environment, for two identities; its ledger is `ledger`."""
    put(folder / "key", "canary-7f3a9c51\n")
    argv = json.dumps(odd_argv(era, ledger=folder / "ledger"))
    return write_config(
        folder,
        f"""version: 1
store: sqlite:shim.db
upstreams:
  odd: {{command: {argv}, cwd: {ROOT}, env: {{KEY: "${{secret:key}}"}}, timeout: {timeout}}}
identities:
{identity("alice")}{identity("bob")}
grants:
  - {{name: all, to: ["*"], allow: ["odd/*"]}}
secrets:
  key: {{source: file, path: key}}
""",
    )


async def call(shim: Running, tool: str, who: str = "alice", **arguments: str) -> JsonObject:
    async with http(shim.url, "modern", token=token(who)) as caller:
        return await caller.request("tools/call", {"name": f"odd__{tool}", "arguments": arguments})


async def executed(folder: Path, calls: int) -> None:
    """Return once the upstream has begun so many calls: it tells nobody but its ledger."""
    for _ in range(1000):
        if len(read_ledger(folder / "ledger")) >= calls:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the upstream was not reached")


def kept(folder: Path) -> bytes:
    """Everything in the store's files."""
    return b"".join(path.read_bytes() for path in folder.glob("shim.db*"))


async def rows(config: Path) -> list[JsonObject]:
    code, out, err = await run(config, "log", "export", "--format", "jsonl")
    assert code == 0, err
    assert "canary" not in out
    code, verified, _ = await run(config, "log", "verify", "--json")
    assert code == 0, verified
    return [json.loads(line) for line in out.splitlines()]


def noted(row: JsonObject) -> JsonObject:
    """The one lease of a row, its id and times looked at and taken out."""
    (lease,) = row["secrets"]
    assert list(lease) == ["name", "source", "lease", "issued", "expires", "revoked", "long_lived"]
    assert lease["lease"]
    assert row["time"] <= lease["issued"]
    return {key: lease[key] for key in ("name", "source", "expires", "revoked", "long_lived")}


LONG_LIVED = {"name": "key", "source": "file", "expires": None, "revoked": None, "long_lived": True}


async def test_an_answered_call_names_its_lease(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with serving(config) as shim:
        await call(shim, "note", id="1")
        await call(shim, "tool_error")
    first, second = await rows(config)
    assert [first["status"], second["status"]] == ["ok", "error"]
    assert noted(first) == noted(second) == LONG_LIVED
    assert first["secrets"][0]["lease"] != second["secrets"][0]["lease"]


async def test_a_secret_that_cannot_be_had_is_a_refusal_that_tells_the_caller_its_name_alone(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with serving(config) as shim:
        (tmp_path / "key").chmod(0o644)
        answer = await call(shim, "note", id="1")
        (tmp_path / "key").chmod(0o600)
        assert "isError" not in (await call(shim, "note", id="2"))["result"]
    said = answer["result"]["_meta"]["io.github.mcp-shim/decision"]
    assert (said["decision"], said["reason"], said["grant"]) == ("allow", "secret-unavailable", "all")
    assert answer["result"]["content"][0]["text"] == (
        "The secret key is not available, so the call was not made: whoever runs this server has to provide it."
    )
    assert str(tmp_path) not in json.dumps(answer)
    refused, _ = await rows(config)
    assert (refused["status"], refused["secrets"], refused["id"]) == ("failed", [], said["invocation"])
    assert refused["error"] == (
        f"secret-unavailable: The secret key is not available: group or others can read {tmp_path}/key; chmod 600 it."
    )
    assert any(f"group or others can read {tmp_path}/key" in line for line in shim.errors)
    assert [entry["arguments"]["id"] for entry in read_ledger(tmp_path / "ledger")] == ["2"]


async def test_a_call_that_is_cancelled_or_too_slow_names_its_lease(tmp_path: Path) -> None:
    config = configured(tmp_path, timeout="2s")
    async with serving(config) as shim:
        slow = await call(shim, "slow", key="timeout")
        assert slow["result"]["_meta"]["io.github.mcp-shim/decision"]["reason"] == "upstream-timeout"
        leaving = asyncio.ensure_future(call(shim, "slow", key="left"))
        await executed(tmp_path, 2)
        leaving.cancel()
        await asyncio.wait([leaving])
    late, left = await rows(config)
    assert (late["status"], left["status"]) == ("failed", "cancelled")
    assert noted(late) == noted(left) == LONG_LIVED


async def test_a_kill_in_the_middle_leaves_the_record_whole(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with serving(config) as shim:
        calling = asyncio.ensure_future(call(shim, "slow", key="killed"))
        await executed(tmp_path, 1)
        shim.kill()
        await shim.process.wait()
        await asyncio.wait([calling])
    async with serving(config):
        pass
    (row,) = await rows(config)
    # What was issued is on the record before anything has it.
    assert (row["status"], [secret["name"] for secret in row["secrets"]]) == ("unknown", ["key"])
    assert b"canary" not in kept(tmp_path)


@pytest.mark.parametrize("era", ERAS)
async def test_two_identities_share_no_process(tmp_path: Path, era: Era) -> None:
    config = configured(tmp_path, era)
    async with serving(config) as shim:
        for who in ("alice", "bob", "alice"):
            await call(shim, "note", who, id=who)
        put(tmp_path / "next", "canary-other\n").replace(tmp_path / "key")
        await call(shim, "note", "alice", id="alice")
    alice, bob, again, rotated = [entry["pid"] for entry in read_ledger(tmp_path / "ledger")]
    assert alice == again
    assert len({alice, bob, rotated}) == 3


async def test_two_identities_have_two_keys_behind_one_name_and_neither_sees_the_others(tmp_path: Path) -> None:
    # given one upstream, whose key a grant chooses
    config = configured(tmp_path)
    put(tmp_path / "other", "canary-of-bob-51")
    argv = [sys.executable, "-S", "-E", "-u", str(ROOT / "tests/upstream/misbehaving.py"), "modern"]
    text = config.read_text().replace(json.dumps(odd_argv("modern", ledger=tmp_path / "ledger")), json.dumps(argv))
    text = text.replace(
        '  - {name: all, to: ["*"], allow: ["odd/*"]}',
        '  - {name: all, to: [alice], allow: ["odd/*"]}\n'
        '  - {name: bobs, to: [bob], allow: ["odd/*"], bind: {key: other}}',
    )
    config.write_text(text + "  other: {source: file, path: other}\n")
    async with serving(config) as shim:
        for who in ("alice", "bob", "alice", "bob"):
            # when the server says its whole environment
            answer = json.dumps(await call(shim, "env", who))
            # then neither key reaches anybody
            assert "canary" not in answer
            assert "[secret:key]" in answer
    found = await rows(config)
    assert [row["secrets"][0]["name"] for row in found] == ["key", "other", "key", "other"]
    assert all(row["redactions"] >= 1 for row in found)
    assert b"canary" not in kept(tmp_path)
    assert not any("canary" in line for line in shim.errors)
