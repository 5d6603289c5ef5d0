"""`tools` and `explain`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import edit, leaving_traces
from tests.promises.running import run


async def test_who_sees_what_on_a_fresh_installation(config: Path) -> None:
    # when nothing has been read yet
    code, out, err = await run(config, "tools", "--json")
    # then the upstreams are reached, and nothing is made
    assert code == 0, err
    rows = json.loads(out)
    seen = {name: {row["tool"] for row in rows if row["identity"] == name} for name in ("reader", "writer", "remote")}
    look = {"git/git_status", "git/git_log", "time/get_current_time", "time/convert_time"}
    assert seen == {"reader": look, "writer": look | {"git/git_commit"}, "remote": {"git/git_commit"}}
    assert rows[0] == {
        "identity": "reader",
        "tool": "git/git_log",
        "name": "git__git_log",
        "kind": "tool",
        "upstream": "git",
        "grants": ["look"],
        "approval": None,
    }
    assert not (config.parent / "var").exists()


async def test_who_can_call_this(config: Path) -> None:
    _, out, _ = await run(config, "tools", "--tool", "git/git_commit", "--json")
    assert [row["identity"] for row in json.loads(out)] == ["writer", "remote"]


async def test_persons_who_sign_in_can_call_this_by_the_template_of_their_names(config: Path) -> None:
    edit(config, "upstreams:\n", 'server: {jwt: {issuer: "https://idp.test", audience: a}}\nupstreams:\n')
    edit(config, "  remote: {}\n", '  remote: {}\n  staff: {jwt: {x: y}, name: "staff:{claims.sub}"}\n')
    edit(config, "[writer, remote]", '[writer, "group:staff"]')
    _, out, _ = await run(config, "tools", "--tool", "git/git_commit", "--json")
    assert [row["identity"] for row in json.loads(out)] == ["writer", "staff:{claims.sub}"]


async def test_a_template_whose_variable_is_not_set_is_said(config: Path) -> None:
    edit(config, "upstreams:\n", 'server: {jwt: {issuer: "https://idp.test", audience: a}}\nupstreams:\n')
    edit(config, "  remote: {}\n", '  remote: {}\n  staff: {jwt: {x: y}, name: "${env:NOBODY}:{claims.sub}"}\n')
    known, unknown = [
        await run(config, "explain", "--tool", "git/git_log", "--identity", name) for name in ("reader", "staff:7")
    ]
    assert known[0] == 0
    assert (unknown[0], "is not set; set it" in unknown[2]) == (2, True)


async def test_an_upstream_that_is_not_there_is_said(config: Path) -> None:
    edit(config, "mcp-server-time", "mcp-server-nowhere")
    code, out, err = await run(config, "tools", "--identity", "reader", "--json")
    assert code == 0
    assert {row["upstream"] for row in json.loads(out)} == {"git"}
    assert "time could not be reached" in err


async def test_why_an_upstream_is_not_there_is_said_once(config: Path) -> None:
    edit(config, "mcp-server-time", "mcp-server-nowhere")
    _, _, err = await run(config, "tools")
    assert err.count("mcp-server-nowhere was not found") == 1


async def test_only_what_may_be_shown_is_reached(config: Path) -> None:
    # given an upstream that one identity may see something of, and others not
    trace = leaving_traces(config, "other")
    edit(config, "allow: [git/git_commit]", "allow: [git/git_commit, 'other/**']")
    # when it is asked about those who may not, or about another tool, then it is not started
    _, out, err = await run(config, "tools", "--identity", "reader", "--json")
    assert ({row["upstream"] for row in json.loads(out)}, err) == ({"git", "time"}, "")
    await run(config, "tools", "--tool", "git/git_commit")
    assert not trace.exists()
    # and it is, when it may be
    _, _, err = await run(config, "tools", "--identity", "writer")
    assert "other could not be reached" in err
    assert trace.exists()


async def test_an_upstream_that_may_take_its_names_is_reached_as_well(config: Path) -> None:
    trace = leaving_traces(config, "other", prefix="git")
    await run(config, "tools", "--identity", "reader")
    assert trace.exists()


async def test_explain(config: Path) -> None:
    code, out, _ = await run(
        config,
        "explain",
        "--identity",
        "writer",
        "--tool",
        "git/git_commit",
        "--args",
        '{"message": "short"}',
        "--json",
    )
    assert code == 0
    assert json.loads(out) == {
        "decision": "allow",
        "reason": "granted",
        "grant": "small-commits",
        "trail": [
            {"grant": "look", "matched": False, "effect": "allow", "condition": None, "reason": "no-grant"},
            {"grant": "small-commits", "matched": True, "effect": "allow", "condition": True, "reason": "granted"},
        ],
    }


async def test_explain_is_0_whatever_was_decided(config: Path) -> None:
    code, out, _ = await run(config, "explain", "--identity", "reader", "--tool", "nowhere/nothing")
    assert code == 0
    assert out.startswith("deny: no-grant")


async def test_explain_a_batch(config: Path) -> None:
    lines = [
        {"identity": "writer", "tool": "git/git_commit", "args": {"message": "x" * 20}},
        {"identity": "nobody", "tool": "git/git_log"},
        {"identity": "reader", "tool": "git/git_log"},
        {"identity": "reader", "tool": "git/git_log", "arguments": {}},
    ]
    batch = "".join(json.dumps(line) + "\n" for line in lines) + '{"identity": "reader", "identity": "writer"}\n'
    code, out, _ = await run(config, "explain", "--batch", "-", stdin=batch.encode())
    assert code == 1
    found = [json.loads(line) for line in out.splitlines()]
    assert [answer.get("reason") for answer in found] == ["condition-false", None, "granted", None, None]
    assert [set(answer) == {"error"} for answer in found] == [False, True, False, True, True]
