"""What is written for a call, an answer, a list, a refusal."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shim.errors import RecordUnavailable
from shim.model import JsonObject, Outcome, Status, Tool
from shim.record.config import RecordBlock
from shim.record.queries import Query, listed, show
from shim.record.recorder import Record
from shim.store.files import beside
from shim.store.reader import Reader
from shim.store.sqlite import SqliteStore
from tests.record.given import BEGAN, DENIED, GRANTED, call, ok, recorded


def one(path: Path, name: str) -> JsonObject:
    with Reader(path) as reader:
        found = show(reader, name)
        assert found is not None
        return found


def events(path: Path, kind: str) -> list[JsonObject]:
    with Reader(path) as reader:
        found = [json.loads(event.text) for event in reader.events()]
    return [event for event in found if event["kind"] == kind]


async def test_a_call_and_its_answer(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path) as record:
        await record.intent(call("i1"), GRANTED)
        await record.outcome(call("i1"), ok())
    found = one(path, "i1")
    wanted = {
        "id": "i1",
        "time": "2026-11-01T12:00:00.123456Z",
        "identity": "bot",
        "credential": "laptop",
        "address": "127.0.0.1",
        "groups": ["developers", "leads"],
        "client": {"name": "inspector", "version": "1.2"},
        "transport": "http",
        "protocol": "2026-07-28",
        "process": "this-process",
        "trace": "0af7651916cd43dd8448eb211c80319c",
        "method": "tools/call",
        "upstream": "git",
        "tool": "git/git_status",
        "arguments": {"repo": "/srv"},
        "decision": "allow",
        "reason": "granted",
        "grant": "read-the-repo",
        "enforced": True,
        "policy": "policy-digest",
        "approval": None,
        "secrets": [],
        "status": "ok",
        "duration_ms": 12.346,
        "result": None,
        "result_bytes": 14,
        "error": None,
    }
    assert {key: found[key] for key in wanted} == wanted
    assert [event["kind"] for event in found["events"]] == ["intent", "outcome"]
    assert found["hash"] == found["events"][1]["hash"]
    salt = bytes.fromhex(found["salts"]["arguments"])
    assert found["arguments_sha256"] == hashlib.sha256(salt + b'{"repo":"/srv"}').hexdigest()


@pytest.mark.parametrize("keep", ["full", "redacted", "digest"])
async def test_the_size_is_that_of_the_result_as_the_caller_gets_it(tmp_path: Path, keep: Any) -> None:
    path = tmp_path / "shim.db"
    plain, secret = {"é": [1, 2]}, {"token": "abcdef", "n": 1}
    async with recorded(path, RecordBlock(results=keep)) as record:
        for name, result in (("plain", plain), ("secret", secret), ("none", None)):
            await record.intent(call(name), GRANTED)
            await record.outcome(call(name), Outcome(Status.OK, 1.0, result, 4711))
    sizes = [one(path, name)["result_bytes"] for name in ("plain", "secret", "none")]
    assert sizes == [len(json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode()), 24, None]


@pytest.mark.parametrize("keep", ["full", "redacted", "digest"])
async def test_an_upstreams_own_error_is_kept_as_its_results_are(tmp_path: Path, keep: Any) -> None:
    # given errors whose words an upstream chose, and one of the shim's own
    path = tmp_path / "shim.db"
    said = {
        "secret": ("upstream-error: -32000", "denied for Authorization: Bearer supersecrettoken"),
        "long": ("upstream-error: -32000", "é" * 5_000_000),
        "own": ("upstream-timeout: no answer: within 30 s", None),
        "link": ("upstream-unavailable: https://user:hunter2@example.com", None),
    }
    async with recorded(path, RecordBlock(results=keep)) as record:
        for name, (error, detail) in said.items():
            await record.intent(call(name), GRANTED)
            await record.outcome(call(name), Outcome(Status.ERROR, 1.0, error=error, detail=detail))
    found = {name: one(path, name) for name in said}
    # then the shim's own stay whole, but for credentials
    assert found["own"]["error"] == said["own"][0]
    assert found["link"]["error"] == "upstream-unavailable: https://[redacted]@example.com"
    # and of the others there is no credential, no more than can be read, and nothing where no results are kept
    if keep == "digest":
        assert {found[name]["error"] for name in ("secret", "long")} == {"upstream-error: -32000"}
        assert found["secret"]["redactions"] == 0
    else:
        assert found["secret"]["error"] == "upstream-error: -32000 denied for Authorization: Bearer [redacted]"
        assert found["secret"]["redactions"] == 1
        assert len(found["long"]["error"]) == 500
        assert found["long"]["error"].startswith("upstream-error: -32000 éé")
        assert found["long"]["error"].endswith("é … (cut)")


async def test_a_salt_without_content_is_held_by_its_event(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path, RecordBlock(arguments="full", results="digest")) as record:
        await record.intent(call("i1"), GRANTED)
        await record.outcome(call("i1"), ok())
    intent, outcome = (event["body"] for event in one(path, "i1")["events"])
    assert "arguments_salt_sha256" not in intent
    salt = bytes.fromhex(one(path, "i1")["salts"]["result"])
    assert outcome["result_salt_sha256"] == hashlib.sha256(salt).hexdigest()


@pytest.mark.parametrize("tool", ["", None])
async def test_what_concerns_no_tool_has_none(tmp_path: Path, tool: str | None) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path) as record:
        await record.intent(call("i1", tool=tool), DENIED)
    assert one(path, "i1")["tool"] is None


async def test_a_denial_is_one_event(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path) as record:
        await record.intent(call("i1"), DENIED)
    found = one(path, "i1")
    assert (found["decision"], found["reason"], found["status"]) == ("deny", "no-grant", "denied")
    assert len(found["events"]) == 1


@pytest.mark.parametrize(
    ("keep", "wanted"),
    [("full", {"password": "p", "n": 1}), ("redacted", {"password": "[redacted]", "n": 1}), ("digest", None)],
)
async def test_how_much_is_kept_is_the_configurations_choice(
    tmp_path: Path, keep: Any, wanted: JsonObject | None
) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path, RecordBlock(arguments=keep, results=keep)) as record:
        await record.intent(call("i1", {"password": "p", "n": 1}), GRANTED)
        await record.outcome(call("i1"), ok({"password": "p", "n": 1}))
    found = one(path, "i1")
    assert found["arguments"] == wanted
    assert found["result"] == wanted
    assert len(found["salts"]["arguments"]) == len(found["salts"]["result"]) == 32
    assert found["redactions"] == (0 if keep == "full" else 2)


async def test_numbers_and_texts_of_any_kind_survive(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    odd = {"n": 10**400, "s": "\ud800 \0 \u202e", "f": 1.0, "z": None, "\ud800": [True]}
    async with recorded(path, RecordBlock(arguments="full", results="full")) as record:
        await record.intent(call("i1", odd, tool="git/\ud800\0"), GRANTED)
        await record.outcome(call("i1"), ok(odd))
        await record.event("upstream.refused", odd, "i1")
    found = one(path, "i1")
    assert found["arguments"] == odd
    assert list(found["result"]) == list(odd)
    assert found["result"]["n"] == 10**400
    assert found["tool"] == "git/\ud800\0"
    assert found["events"][-1]["body"] == odd


async def test_a_large_result_is_kept_without_holding_up_the_others(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    large = {"text": "x" * 3_000_000, "token": "t"}
    async with recorded(path, RecordBlock(results="redacted")) as record:
        await record.intent(call("i1"), GRANTED)
        await record.outcome(call("i1"), Outcome(Status.OK, 1.0, large, 3_000_030))
    assert one(path, "i1")["result"] == {**large, "token": "[redacted]"}


async def test_what_an_identity_was_shown_is_written_once_a_version(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    tools = (Tool("git", "git_status", "git__git_status", {"name": "git_status"}, "d1"),)
    changed = (Tool("git", "git_status", "git__git_status", {"name": "git_status"}, "d2"),)
    async with recorded(path) as record:
        for _ in range(3):
            await record.shown("bot", "p1", tools)
        await record.shown("bot", "p1", (*tools,))
        await record.shown("bot", "p1", changed)
        await record.shown("bot", "p2", changed)
        await record.shown("me", "p2", changed)
    async with recorded(path, instance="later") as record:
        await record.shown("bot", "p1", tools)
    found = [event["body"] for event in events(path, "shown")]
    versions = [(body["identity"], body["policy"], body["tools"][0]["digest"]) for body in found]
    assert versions == [("bot", "p1", "d1"), ("bot", "p1", "d2"), ("bot", "p2", "d2"), ("me", "p2", "d2")]
    assert found[0]["tools"] == [{"tool": "git/git_status", "name": "git__git_status", "digest": "d1"}]


async def test_refused_credentials_are_counted_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    now = [BEGAN]
    async with SqliteStore.open(path, "p") as store:
        record = Record(store, RecordBlock(), random=lambda n: bytes(n), clock=lambda: now[0])
        for _ in range(5):
            record.auth_refused("10.0.0.1", "unknown token")
        record.auth_refused("10.0.0.2", "unknown token")
        await record.catch_up()
        assert events(path, "auth.refused") == []
        now[0] += timedelta(minutes=1)
        record.auth_refused("10.0.0.1", "unknown token")
        await record.catch_up()
        found = [event["body"] for event in events(path, "auth.refused")]
        assert [(body["address"], body["count"]) for body in found] == [("10.0.0.1", 5), ("10.0.0.2", 1)]
        assert found[0]["minute"] == "2026-11-01T12:00Z"
        for number in range(20_000):
            record.auth_refused(f"10.1.{number // 250}.{number % 250}", "unknown token")
        await record.catch_up(everything=True)
        after = [event["body"] for event in events(path, "auth.refused")][2:]
        assert sum(body["count"] for body in after) == 20_001
        assert len(after) < 5000


async def test_a_configuration_is_kept_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path) as record:
        await record.loaded("d" * 64, [("shim.yaml", "version: 1\n"), ("more.yaml", "grants: []\n")])
        await record.loaded("d" * 64, [("shim.yaml", "version: 1\n"), ("more.yaml", "grants: []\n")], user="alice")
    body = events(path, "config.loaded")[0]["body"]
    assert body["policy"] == "d" * 64
    assert body["process"] == "this-process"
    assert "user" not in body
    assert events(path, "config.loaded")[1]["body"] == {**body, "user": "alice"}
    assert body["files"][0] == {"name": "shim.yaml", "sha256": hashlib.sha256(b"version: 1\n").hexdigest()}
    with Reader(path) as reader:
        assert reader.policy("d" * 64) == [("shim.yaml", b"version: 1\n"), ("more.yaml", b"grants: []\n")]


async def test_a_process_says_where_it_runs_and_that_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path):
        pass
    start = events(path, "server.start")[0]["body"]
    assert start == {"process": "this-process", "host": "host", "pid": 4711, "version": "0.1.0", "user": "alice"}
    assert events(path, "server.stop")[0]["body"] == {"process": "this-process"}


async def test_an_outcome_that_could_not_be_recorded_ends_as_unknown(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path, timeout=0.2) as record:
        await record.intent(call("i1"), GRANTED)
        with beside(path, ".lock").open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(RecordUnavailable):
                await record.outcome(call("i1"), ok())
            with pytest.raises(RecordUnavailable):
                await record.intent(call("i2"), GRANTED)
        await record.catch_up()
    found = one(path, "i1")
    assert found["status"] == "unknown"
    assert found["error"].startswith("record-unavailable: it ran")
    with Reader(path) as reader:
        assert [item["id"] for item in listed(reader, Query(running=True))] == ["i1"]


async def test_a_running_call_becomes_unknown_when_its_process_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "dies") as store:
        record = Record(store, RecordBlock(), random=lambda n: bytes(n))
        await record.intent(call("i1"), GRANTED)
        await record.intent(call("i2"), DENIED)
        assert one(path, "i1")["status"] == "running"
    assert one(path, "i1")["status"] == "unknown"
    assert len(one(path, "i1")["events"]) == 1
    async with recorded(path, instance="next") as record:
        await record.intent(call("i3"), GRANTED)
        assert one(path, "i1")["status"] == "unknown"
        assert one(path, "i1")["error"].startswith("outcome-unknown: process dies")
        assert one(path, "i3")["status"] == "running"
        assert [event["invocation"] for event in events(path, "outcome")] == ["i1"]
    async with recorded(path, instance="third"):
        pass
    assert [event["invocation"] for event in events(path, "outcome")] == ["i1", "i3"]


async def test_cancelling_while_an_intent_is_recorded_leaves_no_half(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path) as record:
        for number in range(60):
            task = asyncio.create_task(record.intent(call(f"i{number}"), GRANTED))
            for _ in range(number % 6):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    with Reader(path) as reader:
        for item in listed(reader, Query(running=True)):
            assert item["arguments"] == {"repo": "/srv"}
