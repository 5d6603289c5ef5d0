"""`connect`: every client's entry, printed and written, and the shim started and reached by what was written."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from shim.clients.client import TOKEN, Machine
from shim.clients.registry import CLIENTS, parsed
from shim.clients.server import ClientName
from shim.model import JsonObject
from tests.cli.conftest import edit
from tests.clients.samples import SAMPLES, Sample
from tests.parts import warm
from tests.promises.running import SHIM, environment, run, serving

LOOK = ["git__git_log", "git__git_status", "time__convert_time", "time__get_current_time"]


async def connect(config: Path, *words: str) -> tuple[int, str, str]:
    """The verb, from a project beside the configuration; HOME is the configuration's folder."""
    project = config.parent / "project"
    project.mkdir(exist_ok=True)
    argv = (SHIM, "connect", *words, "--config", str(config))
    return await warm.run(argv, environment(config.parent), folder=project)


def entry(config: Path, client: ClientName) -> JsonObject:
    """The shim's entry as it stands in the client's user file."""
    known = CLIENTS[client]
    file = known.user_file(Machine(config.parent, config.parent, {}, "linux"))
    servers = parsed(known, file.read_bytes())[known.section[0]]
    assert isinstance(servers, dict)
    found = servers["mcp-shim"]
    assert isinstance(found, dict)
    return found


each = pytest.mark.parametrize("client", CLIENTS)


@each
async def test_the_snippet_stands_alone_and_is_what_is_written(config: Path, client: ClientName) -> None:
    code, out, err = await connect(config, client, "--identity", "reader")
    assert code == 0, err
    document = tomllib.loads(out) if client == "codex" else json.loads(out)
    assert list(document) == list(CLIENTS[client].section)
    assert "--write" in err
    code, out, err = await connect(config, client, "--identity", "reader", "--write")
    assert (code, out) == (0, ""), err
    assert entry(config, client) == document[CLIENTS[client].section[0]]["mcp-shim"]


@pytest.mark.parametrize("client", ["claude-code", "claude-desktop", "codex"])
async def test_the_sdks_client_starts_what_the_entry_says(config: Path, client: ClientName) -> None:
    await connect(config, client, "--identity", "reader", "--write")
    written = entry(config, client)
    env = {"PATH": "/usr/bin:/bin", "HOME": str(config.parent), **written.get("env", {})}
    parameters = StdioServerParameters(
        command=written["command"], args=written["args"], env=env, cwd=config.parent / "project"
    )
    async with Client(stdio_client(parameters)) as session:
        assert [tool.name for tool in (await session.list_tools()).tools] == LOOK
        status = await session.call_tool("git__git_status", {"repo_path": str(config.parent / "sample")})
        assert not status.is_error


BY_VARIABLE: dict[ClientName, str] = {
    "claude-code": "Bearer ${MCP_SHIM_TOKEN}",
    "cursor": "Bearer ${env:MCP_SHIM_TOKEN}",
    "gemini": "Bearer $MCP_SHIM_TOKEN",
    "vscode": "Bearer ${input:mcp-shim-token}",
}


async def test_the_sdks_client_reaches_what_the_entry_says(config: Path) -> None:
    _, token, _ = await run(config, "token", "new", "remote")
    async with serving(config) as shim:
        edit(config, "store:", f"server: {{url: {shim.url}}}\nstore:")
        for client, header in BY_VARIABLE.items():
            code, _, err = await connect(config, client, "--identity", "remote", "--write")
            assert code == 0, err
            assert "token new remote" in err
            written = entry(config, client)
            assert written["headers"] == {"Authorization": header}
            url = written.get("url") or written["httpUrl"]
            # What the client does with its own placeholder.
            filled = re.sub(r"\$(?:\{.*\}|MCP_SHIM_TOKEN)", token.strip(), header)
            async with (
                httpx2.AsyncClient(headers={"authorization": filled}, trust_env=False, timeout=60) as http,
                Client(streamable_http_client(str(url), http_client=http)) as session,
            ):
                assert [tool.name for tool in (await session.list_tools()).tools] == ["git__git_commit"]
        await connect(config, "codex", "--identity", "remote", "--write")
        assert entry(config, "codex") == {"url": shim.url, "bearer_token_env_var": TOKEN}
    for path in config.parent.rglob("*"):
        assert not path.is_file() or token.strip().encode() not in path.read_bytes(), path


async def test_vscode_asks_for_the_token_and_undo_takes_the_question_back(config: Path) -> None:
    file = config.parent / ".config/Code/User/mcp.json"
    file.parent.mkdir(parents=True)
    file.write_text(text := '{\n  "inputs": [{"id": "mine"},], // kept\n  "servers": {}\n}\n')
    await connect(config, "vscode", "--identity", "remote", "--write")
    inputs = parsed(CLIENTS["vscode"], file.read_bytes())["inputs"]
    assert isinstance(inputs, list)
    assert [one["id"] for one in inputs if isinstance(one, dict)] == ["mine", "mcp-shim-token"]
    # Something else changes meanwhile
    file.write_text(file.read_text().replace('"mine"', '"other"'))
    code, _, err = await connect(config, "vscode", "--identity", "remote", "--undo")
    assert code == 0, err
    assert file.read_text() == text.replace('"mine"', '"other"')


def _front_git_with_a_key(config: Path) -> None:
    env = "{GIT_PAGER: cat, GITHUB_TOKEN: ghp_0123456789abcdefghijklmnopqrstuvwxyz}"
    config.write_text(re.sub(r"  git: .*", f"  git: {{command: [mcp-server-git], env: {env}}}", config.read_text()))
    config.chmod(0o600)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.client)
async def test_there_and_back(config: Path, sample: Sample) -> None:
    # Given a client with the very servers that the configuration has
    _front_git_with_a_key(config)
    file = sample.write(config.parent)
    # When they are moved behind the shim
    code, out, err = await connect(config, sample.client, "--identity", "reader", "--write", "--replace")
    assert (code, out) == (0, ""), err
    assert f"moved behind the shim: git ({file})" in err
    assert "ghp_" not in err
    assert entry(config, sample.client)
    assert b'git"' not in file.read_bytes()
    # Then undoing leaves no trace of it
    code, _, err = await connect(config, sample.client, "--identity", "reader", "--undo")
    assert code == 0, err
    assert "everything is as it was before" in err
    assert "needed no more, and removed: " in err
    assert file.read_bytes() == sample.text.encode()
    assert [path for path in config.parent.rglob("*") if ".bak-" in path.name] == []


GIT, TIME = {"command": "mcp-server-git"}, {"command": "mcp-server-time"}


async def _connect_twice(config: Path, last: JsonObject) -> Path:
    """Cursor, whose servers one configuration after the other took, and which has another one since."""
    file = config.parent / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"mcpServers": {"git": GIT, "clock": TIME, "mine": {"command": "mine"}}}, indent=1))
    for name, program in (("one", "mcp-server-git"), ("two", "mcp-server-time")):
        other = config.with_name(f"{name}.yaml")
        other.write_text(f"version: 1\nstore: sqlite:{name}.db\nupstreams:\n  up: {{command: [{program}]}}\n"
                         "identities: {me: {local: true}}\n")  # fmt: skip
        code, _, err = await connect(other, "cursor", "--identity", "me", "--write", "--replace")
        assert code == 0, err
    document = json.loads(file.read_text())
    assert sorted(document["mcpServers"]) == ["mcp-shim", "mine"]
    file.write_text(json.dumps({"mcpServers": {"mcp-shim": document["mcpServers"]["mcp-shim"], **last}}))
    return file


async def test_servers_that_another_configuration_took_come_back_as_well(config: Path) -> None:
    file = await _connect_twice(config, {"new": {"command": "new"}})
    # When it is taken back by neither of both, after a person removed one server and added another
    code, _, err = await connect(config, "cursor", "--undo")
    assert code == 0, err
    # Then what the shim took is there again, and what the person removed is said to be in the backups
    assert json.loads(file.read_text())["mcpServers"] == {"new": {"command": "new"}, "git": GIT, "clock": TIME}
    [said] = [line for line in err.splitlines() if line.startswith("not put back, since no upstream of ")]
    assert all(name in said for name in ("one.yaml", "two.yaml", "mine ("))
    assert "git (" not in said
    kept = [line for line in err.splitlines() if line.startswith("kept, with any key")]
    assert [line.count(".bak-") for line in kept] == [2]


async def test_where_one_of_them_is_gone_all_comes_back(config: Path) -> None:
    file = await _connect_twice(config, {})
    config.with_name("one.yaml").unlink()
    code, _, err = await connect(config, "cursor", "--undo")
    assert code == 0, err
    assert f"cannot be read: {config.with_name('one.yaml')}; every server" in err
    assert sorted(json.loads(file.read_text())["mcpServers"]) == ["clock", "git", "mine"]


async def test_a_configuration_that_is_named_need_not_be_there(config: Path) -> None:
    await connect(config, "cursor", "--identity", "reader", "--write")
    code, _, err = await connect(config.with_name("nowhere.yaml"), "cursor", "--undo")
    assert (code, "cannot be read" in err) == (0, False)


async def test_a_file_that_lies_elsewhere_is_named(config: Path) -> None:
    # Given servers in a file that no client looks at in this folder
    _front_git_with_a_key(config)
    elsewhere = config.parent / "else where" / ".mcp.json"
    elsewhere.parent.mkdir()
    elsewhere.write_text(text := json.dumps({"mcpServers": {"git": GIT, "mine": {"command": "mine"}}}))
    # When they are moved out of it by its name
    named = "--from", str(elsewhere)
    code, _, err = await connect(config, "claude-code", "--identity", "reader", "--write", "--replace", *named)
    assert code == 0, err
    assert f"moved behind the shim: git ({elsewhere})" in err
    assert f"still has: mine ({elsewhere})" in err
    # Then undoing without that name says how they come back
    code, _, err = await connect(config, "claude-code", "--undo")
    assert f"to put it back: --undo --from '{elsewhere}'" in err
    assert json.loads(elsewhere.read_text())["mcpServers"].keys() == {"mine"}
    code, _, err = await connect(config, "claude-code", "--undo", *named)
    assert code == 0, err
    assert elsewhere.read_text() == text
    assert [path for path in config.parent.rglob("*") if ".bak-" in path.name] == []


async def test_what_a_killed_run_left_is_removed_and_said(config: Path) -> None:
    left = config.parent / ".cursor" / ".mcp.json.mcp-shim-abcdefgh"
    left.parent.mkdir()
    for words in (("--identity", "reader", "--write"), ("--undo",)):
        left.touch(0o600)
        _, _, err = await connect(config, "cursor", *words)
        assert f"removed what a run that was killed had left: {left}" in err
        assert not left.exists()


async def test_what_bypasses_the_shim_is_said_and_shown_safely(config: Path) -> None:
    hostile = "\x1b]0;x\x07\u202eevil\n"
    servers = {hostile: {"command": "x"}, "w": {"type": 1}}
    (config.parent / ".claude.json").write_text(json.dumps({"mcpServers": servers}))
    code, _, err = await connect(config, "claude-code", "--identity", "reader", "--write", "--replace")
    assert code == 0
    assert r"\x1b]0;x\x07\u202eevil\n" in err
    assert "not governed" in err
    assert "w (" in err
    assert all(line.isprintable() for line in err.splitlines())


async def test_variables_that_the_shim_cannot_start_without_are_named(config: Path) -> None:
    edit(config, "Etc/UTC]}", 'Etc/UTC], env: {A: "${env:ZONE}", B: "$${env:LITERAL}"}}  # ${env:REMARK}')
    code, _, err = await connect(config, "cursor", "--identity", "reader")
    assert code == 0, err
    assert "Cursor has to start the shim with ZONE set" in err
    assert "LITERAL" not in err
    assert "REMARK" not in err


async def test_a_broken_file_is_left_alone(config: Path) -> None:
    file = config.parent / ".claude.json"
    file.write_text("{ not json")
    code, out, err = await connect(config, "claude-code", "--identity", "reader", "--write")
    assert (code, out) == (1, "")
    assert err.startswith(f"mcp-shim: {file} is left alone: it is not JSON")
    assert len(err.splitlines()) == 1
    assert file.read_text() == "{ not json"
    assert [path.name for path in config.parent.glob(".claude*")] == [".claude.json"]


async def test_a_broken_configuration_does_not_keep_a_client_connected(config: Path) -> None:
    await connect(config, "cursor", "--identity", "reader", "--write")
    edit(config, "version: 1", "nothing: at all")
    code, _, err = await connect(config, "cursor", "--undo")
    assert code == 0, err
    assert not (config.parent / ".cursor" / "mcp.json").exists()
    code, _, err = await connect(config, "cursor", "--undo")
    assert code == 0
    assert "nothing to undo" in err


async def test_a_folder_that_cannot_be_written_is_said(config: Path) -> None:
    (config.parent / ".cursor").write_text("a file where a folder should be")
    code, _, err = await connect(config, "cursor", "--identity", "reader", "--write")
    assert code == 1
    assert "is left alone" in err
    assert "Traceback" not in err


WRONG: dict[str, list[str]] = {
    "'nobody' is not an identity": ["cursor", "--identity", "nobody"],
    "--identity NAME": ["cursor", "--write"],
    "together with --write": ["cursor", "--identity", "reader", "--replace"],
    "--undo stands alone": ["cursor", "--identity", "reader", "--undo", "--write"],
    "cannot send a token": ["claude-desktop", "--identity", "remote"],
    "notepad": ["notepad", "--identity", "reader"],
    "nowhere is no file": ["cursor", "--identity", "reader", "--write", "--from", "nowhere"],
    "--from names what": ["cursor", "--identity", "reader", "--from", "nowhere"],
    "--from: name a file": ["cursor", "--undo", "--from", ""],
}


@pytest.mark.parametrize("why", WRONG)
async def test_what_cannot_be_done_is_code_2(config: Path, why: str) -> None:
    code, out, err = await connect(config, *WRONG[why])
    assert (code, out) == (2, "")
    assert why in err
    assert "Traceback" not in err


def _move(config: Path, folder: str) -> Path:
    odd = config.parent / folder
    odd.mkdir()
    return config.rename(odd / config.name)


async def test_a_path_that_a_client_would_read_as_a_variable_is_refused(config: Path) -> None:
    code, out, err = await connect(_move(config, "$HOME"), "gemini", "--identity", "reader")
    assert (code, out) == (2, "")
    assert "move the file" in err


@pytest.mark.parametrize("listen", ["0.0.0.0:8765", "127.0.0.1:0"])
async def test_an_address_that_no_client_can_use_is_refused(config: Path, listen: str) -> None:
    edit(config, "store:", f"server: {{listen: '{listen}', behind_proxy: true}}\nstore:")
    code, out, err = await connect(config, "cursor", "--identity", "remote")
    assert (code, out) == (2, "")
    assert "`url:`" in err


async def test_claude_desktop_gets_a_path(config: Path) -> None:
    await connect(config, "claude-desktop", "--identity", "reader", "--write")
    path = entry(config, "claude-desktop")["env"]
    assert isinstance(path, dict)
    assert str(path["PATH"]).split(os.pathsep)[0] == str(Path(SHIM).parent)
