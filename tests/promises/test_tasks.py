"""Tasks pass through, each bound to the identity that it was given to (extension io.modelcontextprotocol/tasks)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from shim.model import JsonObject
from tests.parts.fixtures import typescript
from tests.parts.odd import ROOT, START
from tests.parts.peers import TypeScript
from tests.promises.running import SHIM, Running, environment, identity, run, serving, token, write_config
from tests.promises.wire import PATIENCE, HttpPeer, Peer, http, stdio

__all__ = ["typescript"]

TASKS = "io.modelcontextprotocol/tasks"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
ABLE: JsonObject = {CAPABILITIES: {"extensions": {TASKS: {}}, "elicitation": {"form": {}}}}
DECLARES: JsonObject = {CAPABILITIES: {"extensions": {TASKS: {}}}}
NOT_FOUND: JsonObject = {"code": -32602, "message": "Task not found"}

GRANTS = """\
grants:
  - {name: all, to: [ann, bob], allow: ["ci/*"], allow_from_upstream: [elicitation]}
  - {name: few, to: [cat], allow: ["ci/ask", "ci/plain"]}
"""


def server(ledger: Path) -> list[str]:
    return [sys.executable, "-m", "tests.parts.tasks_server", "--ledger", str(ledger)]


def asked(ledger: Path) -> list[JsonObject]:
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def config(folder: Path, upstream: str) -> Path:
    identities = "".join(map(identity, ("ann", "bob", "cat")))
    text = f"version: 1\nserver: {{listen: 127.0.0.1:0}}\nupstreams:\n  ci: {{{upstream}}}\nidentities:\n{identities}"
    return write_config(folder, text + GRANTS)


def over_stdio(folder: Path) -> Path:
    return config(folder, f"command: {json.dumps(server(folder / 'ledger'))}, cwd: {json.dumps(str(ROOT))}")


@asynccontextmanager
async def over_http(folder: Path) -> AsyncIterator[Path]:
    process = await asyncio.create_subprocess_exec(
        *server(folder / "ledger"), "--http", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), START)).decode().strip()
        yield config(folder, f"url: {url}")
    finally:
        process.kill()
        await process.wait()


async def call(peer: Peer, tool: str, meta: JsonObject | None = None) -> JsonObject:
    return await peer.request("tools/call", {"name": f"ci__{tool}", "arguments": {}, "_meta": meta or ABLE})


async def of(peer: Peer, method: str, id_: str, meta: JsonObject | None = None, **more: object) -> JsonObject:
    return await peer.request(f"tasks/{method}", {"taskId": id_, "_meta": meta or ABLE, **more})


def ann(shim: Running) -> AbstractAsyncContextManager[HttpPeer]:
    return http(shim.url, "modern", token=token("ann"))


async def life(peer: Peer) -> None:
    """A task of each kind, from its call to its end."""
    about = (await peer.request("server/discover"))["result"]
    assert about["capabilities"]["extensions"][TASKS] == {}

    made = (await call(peer, "build"))["result"]
    assert (made["resultType"], made["status"]) == ("task", "working")
    assert (await of(peer, "get", made["taskId"]))["result"]["status"] == "working"
    done = (await of(peer, "get", made["taskId"]))["result"]
    assert (done["resultType"], done["status"]) == ("complete", "completed")
    assert done["result"]["content"] == [{"type": "text", "text": "built"}]

    asking = (await call(peer, "ask"))["result"]
    assert "inputRequests" not in asking, "a question is put where the state is looked at"
    asks = asking["taskId"]
    state = (await of(peer, "get", asks))["result"]
    assert state["status"] == "input_required"
    assert state["inputRequests"]["who"]["params"]["message"] == "Who is it?"
    answers = {"who": {"action": "accept", "content": {"name": "Ada"}}}
    assert (await of(peer, "update", asks, inputResponses=answers))["result"]["resultType"] == "complete"
    greeted = (await of(peer, "get", asks))["result"]
    assert greeted["result"]["content"][0]["text"] == "hello Ada"

    crashed = (await call(peer, "crash"))["result"]["taskId"]
    assert (await of(peer, "get", crashed))["result"]["error"] == {"code": -32603, "message": "it broke"}

    endless = (await call(peer, "endless"))["result"]["taskId"]
    assert "result" in await of(peer, "cancel", endless)
    assert (await of(peer, "get", endless))["result"]["status"] == "cancelled"


async def test_a_task_lives_over_http(tmp_path: Path) -> None:
    async with over_http(tmp_path) as path, serving(path) as shim, ann(shim) as peer:
        await life(peer)
    ledger = asked(tmp_path / "ledger")
    assert ledger
    assert all(line["mcp-name"] == line["taskId"] and line["extensions"] == [TASKS] for line in ledger)

    code, out, _ = await run(path, "log", "list", "--json")
    assert code == 0
    rows = [row for row in json.loads(out) if row["method"].startswith("tasks/")]
    assert {row["tool"] for row in rows} == {"ci/build", "ci/ask", "ci/crash", "ci/endless"}
    assert {(row["decision"], row["grant"], row["status"]) for row in rows} == {("allow", "all", "ok")}
    assert len(rows) == len(ledger)


async def test_a_task_lives_over_stdio(tmp_path: Path) -> None:
    path = over_stdio(tmp_path)
    argv = [SHIM, "stdio", "--identity", "ann", "--config", str(path)]
    async with stdio(argv, "modern", env=environment(tmp_path)) as peer:
        await life(peer)


async def test_nobody_elses_task_is_there(tmp_path: Path) -> None:
    async with over_http(tmp_path) as path, serving(path) as shim, ann(shim) as peer:
        id_ = (await call(peer, "endless"))["result"]["taskId"]
        before = len(asked(tmp_path / "ledger"))
        async with http(shim.url, "modern", token=token("bob")) as other:
            for method in ("get", "update", "cancel"):
                more: JsonObject = {"inputResponses": {}} if method == "update" else {}
                theirs = await of(other, method, id_, **more)
                assert other.last is not None
                status = other.last.status_code
                none = await of(other, method, "no-such-task", **more)
                assert theirs["error"] == none["error"] == NOT_FOUND
                assert status == other.last.status_code
        assert len(asked(tmp_path / "ledger")) == before, "no upstream was asked"
        assert (await of(peer, "get", id_))["result"]["status"] == "working"


async def test_a_task_outlives_the_process_and_follows_the_policy(tmp_path: Path) -> None:
    async with over_http(tmp_path) as path:
        async with serving(path) as shim, ann(shim) as peer:
            id_ = (await call(peer, "endless"))["result"]["taskId"]
        async with serving(path) as shim, ann(shim) as peer:
            assert (await of(peer, "get", id_))["result"]["status"] == "working"
        path.write_text(path.read_text().replace("to: [ann, bob]", "to: [bob]"))
        async with serving(path) as shim, ann(shim) as peer:
            before = len(asked(tmp_path / "ledger"))
            assert (await of(peer, "get", id_))["error"] == NOT_FOUND
            assert len(asked(tmp_path / "ledger")) == before


async def test_what_may_not_be_asked_is_declined_and_not_shown(tmp_path: Path) -> None:
    async with over_http(tmp_path) as path, serving(path) as shim:
        for who, able in (("cat", ABLE), ("ann", DECLARES)):
            async with http(shim.url, "modern", token=token(who)) as peer:
                id_ = (await call(peer, "ask", able))["result"]["taskId"]
                state = (await of(peer, "get", id_, able))["result"]
                assert "inputRequests" not in state
                assert state["status"] == "working"
                assert (await of(peer, "get", id_, able))["result"]["result"]["content"][0]["text"] == "hello nobody"
    _, out, _ = await run(path, "log", "export", "--format", "jsonl", "--events")
    events = [json.loads(json.loads(line)["event"]) for line in out.splitlines()]
    refused = [event["body"] for event in events if event["kind"] == "upstream.refused"]
    assert [body["method"] for body in refused] == ["elicitation/create"] * 2


async def test_who_does_not_declare_tasks_gets_none(tmp_path: Path) -> None:
    async with over_http(tmp_path) as path, serving(path) as shim, ann(shim) as peer:
        assert (await call(peer, "plain", {"k": 1}))["result"]["content"][0]["text"] == "at once"
        needs: JsonObject = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
        for answer in (
            await call(peer, "build", {"k": 1}),
            await of(peer, "get", "x", {"k": 1}),
            await peer.request("subscriptions/listen", {"notifications": {"taskIds": ["x"]}}),
        ):
            assert answer["error"]["code"] == -32021
            assert answer["error"]["data"] == needs
        async with http(shim.url, "legacy", token=token("ann")) as old:
            assert (await old.request("tasks/get", {"taskId": "x"}))["error"]["code"] == -32601
            plain = await old.request("tools/call", {"name": "ci__plain", "arguments": {}})
            assert plain["result"]["content"][0]["text"] == "at once"


async def test_a_header_that_names_another_task_is_refused(tmp_path: Path) -> None:
    async with over_http(tmp_path) as path, serving(path) as shim, ann(shim) as peer:
        id_ = (await call(peer, "endless"))["result"]["taskId"]
        params = {"taskId": id_, "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", **ABLE}}
        body = {"jsonrpc": "2.0", "id": 9, "method": "tasks/cancel", "params": params}
        response = await peer.post(body, {"mcp-method": "tasks/cancel", "mcp-name": "another"})
        assert response.status_code == 400
        assert response.json()["error"]["code"] == -32020
        assert (await of(peer, "get", id_))["result"]["status"] == "working"


async def test_the_typescript_sdks_tasks(tmp_path: Path, typescript: TypeScript) -> None:
    ends = {}
    async with over_http(tmp_path) as path, serving(path) as shim:
        for tool in ("build", "ask", "crash", "plain"):
            plan = {"url": shim.url, "headers": {"authorization": f"Bearer {token('ann')}"}, "tool": f"ci__{tool}"}
            process = await asyncio.create_subprocess_exec(*typescript.task(plan), stdout=asyncio.subprocess.PIPE)
            out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
            ends[tool] = json.loads(out)
    assert ends["build"]["result"]["content"][0]["text"] == "built"
    assert ends["ask"]["result"]["content"][0]["text"] == "hello Ada"
    assert (ends["crash"]["status"], ends["crash"]["error"]) == ("failed", "it broke")
    assert ends["plain"]["result"]["content"][0]["text"] == "at once"
