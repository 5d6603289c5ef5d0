"""P1: an identity reaches what a grant names and nothing else; hidden and unknown answer the same, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.promises.running import BIN, SHIM, environment, identity, run, serving, token, write_config
from tests.promises.wire import Era, HttpPeer, http, stdio

ERAS: tuple[Era, ...] = ("modern", "legacy")


def names(answer: dict[str, dict[str, list[dict[str, str]]]]) -> list[str]:
    return [tool["name"] for tool in answer["result"]["tools"]]


@pytest.mark.parametrize("era", ERAS)
async def test_each_identity_sees_what_its_grants_name(era: Era, git_config: Path) -> None:
    async with serving(git_config) as shim:
        async with http(shim.url, era, token=token("reader")) as reader:
            seen = names(await reader.request("tools/list"))
        async with http(shim.url, era, token=token("writer")) as writer:
            more = names(await writer.request("tools/list"))
        async with http(shim.url, era, token=token("nobody")) as nobody:
            none = names(await nobody.request("tools/list"))
    assert seen == [
        "git__git_diff",
        "git__git_diff_staged",
        "git__git_diff_unstaged",
        "git__git_log",
        "git__git_status",
    ]
    assert set(more) - set(seen) == {"git__git_add", "git__git_commit"}
    assert none == []


async def raw_call(peer: HttpPeer, name: str, arguments: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of a call; the id is always the same."""
    params = {"name": name, "arguments": arguments}
    from tests.promises.wire import with_envelope

    headers = {"mcp-method": "tools/call", "mcp-name": name} if peer.era == "modern" else {}
    message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": with_envelope(peer.era, params)}
    response = await peer.post(message, headers)
    kept = {key: value for key, value in response.headers.items() if key != "date"}
    return response.status_code, response.content.replace(name.encode(), b"NAME"), kept


@pytest.mark.parametrize("era", ERAS)
async def test_a_hidden_tool_and_an_unknown_one_answer_the_same_over_http(
    era: Era, git_config: Path, repository: Path
) -> None:
    arguments = {"repo_path": str(repository), "message": "m"}
    async with serving(git_config) as shim, http(shim.url, era, token=token("reader")) as reader:
        hidden = await raw_call(reader, "git__git_commit", arguments)
        unknown = await raw_call(reader, "git__git_cabbit", arguments)
        foreign = await raw_call(reader, "tig__git_commit", arguments)
    assert hidden == unknown == foreign
    assert b"Unknown tool: NAME" in hidden[1]


@pytest.mark.parametrize("era", ERAS)
async def test_a_hidden_tool_and_an_unknown_one_answer_the_same_over_stdio(
    era: Era, git_config: Path, repository: Path
) -> None:
    argv = [SHIM, "stdio", "--identity", "reader", "--config", str(git_config)]
    answers = []
    async with stdio(argv, era, env=environment(git_config.parent)) as reader:
        for name in ("git__git_commit", "git__git_cabbit"):
            answer = await reader.request("tools/call", {"name": name, "arguments": {"repo_path": str(repository)}})
            answers.append(json.dumps(answer["error"]).replace(name, "NAME"))
    assert answers[0] == answers[1]


async def test_nothing_is_contacted_for_a_hidden_tool(git_config: Path, repository: Path) -> None:
    async with serving(git_config) as shim, http(shim.url, "modern", token=token("reader")) as reader:
        arguments = {"repo_path": str(repository), "files": ["NEW"]}
        await reader.request("tools/call", {"name": "git__git_add", "arguments": arguments})
        status = await reader.request(
            "tools/call", {"name": "git__git_status", "arguments": {"repo_path": str(repository)}}
        )
    assert "Untracked files" in status["result"]["content"][0]["text"]


async def test_a_hidden_call_is_on_the_record_with_its_real_name(git_config: Path, repository: Path) -> None:
    async with serving(git_config) as shim, http(shim.url, "modern", token=token("reader")) as reader:
        for name in ("git__git_commit", "git__git_cabbit"):
            await reader.request("tools/call", {"name": name, "arguments": {"repo_path": str(repository)}})
    code, out, err = await run(git_config, "log", "list", "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert [(row["tool"], row["upstream"], row["decision"], row["reason"], row["status"]) for row in rows] == [
        ("git/git_commit", "git", "deny", "no-grant", "denied"),
        ("git__git_cabbit", None, "deny", "no-grant", "denied"),
    ]


async def test_a_tool_with_parameters_in_headers_hides_as_well(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        f"""version: 1
store: sqlite:shim.db
upstreams:
  odd:
    command: [{BIN}/python, -m, tests.parts.odd_server, --era, both]
    cwd: {Path(__file__).parents[2]}
identities:
{identity("seer")}{identity("blind")}
grants:
  - {{name: all, to: [seer], allow: ["odd/*"]}}
""",
    )
    async with serving(config) as shim:
        async with http(shim.url, "modern", token=token("seer")) as seer:
            answer = await seer.request("tools/list")
        annotated = [tool["name"] for tool in answer["result"]["tools"] if "x-mcp-header" in json.dumps(tool)]
        assert annotated, "the odd server offers a tool with x-mcp-header"
        async with http(shim.url, "modern", token=token("blind")) as blind:
            for headers in ({}, {"mcp-param-region": "somewhere"}):
                blind.headers.update(headers)
                hidden = await raw_call(blind, annotated[0], {"region": "elsewhere"})
                unknown = await raw_call(blind, annotated[0][:-1] + "0", {"region": "elsewhere"})
                assert hidden == unknown
