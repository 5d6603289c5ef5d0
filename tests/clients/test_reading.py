"""What each client has in its files is read as the client itself reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.clients.client import System
from shim.clients.registry import CLIENTS, find, read_file
from shim.clients.server import ClientName, Found, Server
from shim.model import Json
from tests.clients.samples import SAMPLES, Sample


class Desk:
    """A home and a project with files in them."""

    def __init__(self, folder: Path) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        self.environ: dict[str, str] = {}
        self.system: System = "linux"

    def put(self, path: str, content: Json | str) -> Path:
        """A file below HOME (`~/…`) or the project."""
        file = self.home / path[2:] if path.startswith("~/") else self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    def find(self, *clients: ClientName) -> Found:
        return find(clients or None, home=self.home, folder=self.project, environ=self.environ, system=self.system)

    def server(self, client: ClientName) -> Server:
        """The one server that a client has."""
        found = self.find(client)
        assert not found.unusable
        (server,) = found.servers
        return server


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.client)
def test_every_server_of_a_real_file_is_found(desk: Desk, sample: Sample) -> None:
    file = sample.write(desk.home)
    found = desk.find()
    assert not found.unusable
    assert {server.name for server in found.servers} == set(sample.servers)
    assert {server.origin.client for server in found.servers} == {sample.client}
    assert [origin.file for origin in found.files] == [file]
    by_name = read_file(file, home=desk.home, folder=desk.project, environ={}, system="linux")
    assert by_name.servers == found.servers


PLACES: dict[ClientName, tuple[str, str | None]] = {
    "claude-code": ("~/.claude.json", ".mcp.json"),
    "claude-desktop": ("~/Library/Application Support/Claude/claude_desktop_config.json", None),
    "cursor": ("~/.cursor/mcp.json", ".cursor/mcp.json"),
    "vscode": ("~/Library/Application Support/Code/User/mcp.json", ".vscode/mcp.json"),
    "codex": ("~/.codex/config.toml", ".codex/config.toml"),
    "gemini": ("~/.gemini/settings.json", ".gemini/settings.json"),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_where_files_lie_on_macos(desk: Desk, client: ClientName) -> None:
    desk.system = "darwin"
    user, project = PLACES[client]
    for place in filter(None, (user, project)):
        toml = place.endswith(".toml")
        section = "servers" if client == "vscode" else "mcpServers"
        desk.put(place, '[mcp_servers.a]\ncommand = "x"\n' if toml else {section: {"a": {"command": "x"}}})
    scopes = [server.origin.scope for server in desk.find(client).servers]
    assert scopes == (["project", "user"] if project else ["user"])


MOVED: dict[ClientName, tuple[str, str]] = {
    "claude-code": ("CLAUDE_CONFIG_DIR", ".claude.json"),
    "claude-desktop": ("XDG_CONFIG_HOME", "Claude/claude_desktop_config.json"),
    "vscode": ("XDG_CONFIG_HOME", "Code/User/mcp.json"),
    "codex": ("CODEX_HOME", "config.toml"),
    "gemini": ("GEMINI_CLI_HOME", ".gemini/settings.json"),
}


@pytest.mark.parametrize("client", MOVED)
def test_variables_that_move_files(desk: Desk, tmp_path: Path, client: ClientName) -> None:
    variable, place = MOVED[client]
    desk.environ[variable] = str(tmp_path / "moved")
    section = "servers" if client == "vscode" else "mcpServers"
    content: Json | str = {section: {"a": {"command": "x"}}}
    desk.put(str(tmp_path / "moved" / place), '[mcp_servers.a]\ncommand="x"' if client == "codex" else content)
    assert desk.server(client).origin.file == tmp_path / "moved" / place


def test_claude_code_variables_headers_and_aliases(desk: Desk) -> None:
    headers = {"Authorization": "Bearer ${TOKEN}", "X": "${A:-b c}"}
    entry: Json = {"type": "streamable-http", "url": "${BASE:-https://x.example}/mcp", "headers": headers}
    desk.put(".mcp.json", {"mcpServers": {"a": {**entry, "headersHelper": "/bin/x"}}})
    server = desk.server("claude-code")
    assert (server.transport, server.url) == ("http", "${env:BASE:-https://x.example}/mcp")
    assert server.headers == {"Authorization": "Bearer ${env:TOKEN}", "X": "${env:A:-b c}"}
    assert server.unread == ("headersHelper",)
    assert server.path == ("mcpServers", "a")


@pytest.mark.parametrize(("client", "file"), [("claude-code", ".mcp.json"), ("gemini", ".gemini/settings.json")])
def test_a_variable_that_only_the_server_has_is_left_to_the_server(desk: Desk, client: ClientName, file: str) -> None:
    words: Json = ["--header", "Authorization:${MINE}", "${THEIRS}"]
    desk.put(file, {"mcpServers": {"a": {"command": "npx", "args": words, "env": {"MINE": "Bearer x"}}}})
    assert desk.server(client).command == ("npx", "--header", "Authorization:${MINE}", "${env:THEIRS}")
    # but the client puts it in where it has it too
    desk.environ["MINE"] = "y"
    assert desk.server(client).command == ("npx", "--header", "Authorization:${env:MINE}", "${env:THEIRS}")


def test_claude_code_local_servers_belong_to_their_folder(desk: Desk) -> None:
    local: Json = {"mcpServers": {"a": {"command": "./serve"}}, "disabledMcpServers": ["u"]}
    desk.put("~/.claude.json", {"mcpServers": {"u": {"command": "x"}}, "projects": {str(desk.project): local}})
    found = {server.name: server for server in desk.find("claude-code").servers}
    assert (found["a"].origin.scope, found["a"].origin.folder) == ("project", desk.project)
    assert found["a"].path == ("projects", str(desk.project), "mcpServers", "a")
    assert (found["u"].origin.scope, found["u"].disabled) == ("user", True)


def test_claude_code_rejected_servers_are_disabled(desk: Desk) -> None:
    desk.put(".mcp.json", {"mcpServers": {"a": {"command": "x"}}})
    desk.put(".claude/settings.local.json", {"disabledMcpjsonServers": ["a"]})
    assert desk.server("claude-code").disabled


def test_gemini_urls_and_rules(desk: Desk) -> None:
    servers: Json = {
        "both": {"httpUrl": "https://h.example", "url": "https://s.example/sse", "command": "x"},
        "old": {"url": "https://s.example/sse", "type": "sse"},
        "Off": {"command": "x", "env": {"A": "$B", "C": "${D:-e}-$F"}},
    }
    desk.put("~/.gemini/settings.json", {"mcpServers": servers, "mcp": {"excluded": [" off "]}})
    found = {server.name: server for server in desk.find("gemini").servers}
    assert (found["both"].transport, found["both"].url) == ("http", "https://h.example")
    assert found["old"].transport == "sse"
    assert found["Off"].disabled
    assert found["Off"].env == {"A": "${env:B}", "C": "${env:D:-e}-${env:F}"}
    desk.put("~/.gemini/settings.json", {"mcpServers": servers, "mcp": {"allowed": ["old"]}})
    assert [server.disabled for server in desk.find("gemini").servers] == [True, False, True]
    desk.put("~/.gemini/settings.json", {"mcpServers": servers})
    desk.put("~/.gemini/mcp-server-enablement.json", {"both": {"enabled": False}})
    assert [server.disabled for server in desk.find("gemini").servers] == [True, False, False]


def test_codex_passes_variables_on_and_takes_tokens_from_them(desk: Desk) -> None:
    desk.put(
        "~/.codex/config.toml",
        '[mcp_servers.a]\ncommand = "x"\nenv_vars = ["A", {name = "B", source = "remote"}]\nenv = {C = "d"}\n'
        'enabled = false\n[mcp_servers.b]\nurl = "https://x.example/mcp"\nbearer_token_env_var = "T"\n'
        'http_headers = {X = "${Y}"}\nenv_http_headers = {Z = "ZED"}\n',
    )
    program, remote = desk.find("codex").servers
    assert (program.env, program.disabled, program.unread) == ({"A": "${env:A}", "C": "d"}, True, ("env_vars",))
    assert remote.headers == {"X": "${Y}", "Z": "${env:ZED}", "Authorization": "Bearer ${env:T}"}


def test_vscode_inputs_folders_and_odd_values(desk: Desk) -> None:
    text = """{ // mine
      "inputs": [{"id": "k", "type": "promptString", "password": true}, {"id": "n"}, 3,],
      "servers": {"a": {"command": "${workspaceFolder}/bin/x", "args": ["${userHome}", "${input:k}"],
        "env": {"N": 1, "Z": null, "E": "${env:E}"}, "envFile": ".env", "dev": {},},},}"""
    desk.put(".vscode/mcp.json", text)
    server = desk.server("vscode")
    assert server.command == (f"{desk.project}/bin/x", str(desk.home), "${input:k}")
    assert server.env == {"N": "1", "E": "${env:E}"}
    assert (server.secret_inputs, server.unread) == (frozenset({"k"}), ())


def test_vscode_settings_of_older_versions(desk: Desk) -> None:
    desk.put(".vscode/settings.json", {"editor.tabSize": 2, "mcp": {"servers": {"a": {"command": "x"}}}})
    assert desk.server("vscode").path == ("mcp", "servers", "a")


def test_a_file_of_no_client_is_known_by_what_it_holds(desk: Desk) -> None:
    cases: Mapping[str, tuple[Json | str, ClientName]] = {
        "a.json": ({"mcpServers": {"a": {"command": "x"}}}, "claude-code"),
        "b.json": ({"servers": {"a": {"command": "x"}}}, "vscode"),
        "d.json": ({"mcpServers": {"a": {"command": "${userHome}/x"}}}, "cursor"),
        "e.json": ({"mcpServers": {"a": {"command": "x", "env": {"B": "${B}"}}}}, "claude-code"),
        "f.json": ({"mcpServers": {"a": {"httpUrl": "https://host/mcp"}}}, "gemini"),
        "settings.json": ({"theme": "dark", "mcpServers": {"a": {"command": "x"}}}, "gemini"),
        "old/settings.json": ({"mcp": {"servers": {"a": {"command": "x"}}}}, "vscode"),
        "c.toml": ('[mcp_servers.a]\ncommand = "x"\n', "codex"),
        "sub/.cursor/mcp.json": ({"mcpServers": {"a": {"command": "x"}}}, "cursor"),
    }
    for place, (content, client) in cases.items():
        file = desk.put(place, content)
        found = read_file(file, home=desk.home, folder=desk.project, environ={}, system="linux")
        assert [server.origin.client for server in found.servers] == [client]
    assert found.servers[0].origin.folder == desk.project / "sub"


def test_a_file_that_is_not_there_is_said(desk: Desk) -> None:
    found = read_file(desk.project / "no.json", home=desk.home, folder=desk.project, environ={}, system="linux")
    assert [unusable.why for unusable in found.unusable] == ["there is no such file"]


WRONG: dict[str, Json] = {
    "neither a command nor a url": {},
    "not an object": "x",
    "command is not text": {"command": 3},
    "command is empty": {"command": " "},
    "args is not a list": {"command": "x", "args": "y"},
    "an element of args": {"command": "x", "args": [None]},
    "env is not an object": {"command": "x", "env": ["A=b"]},
    "A in env is not text": {"command": "x", "env": {"A": {"b": 1}}},
    "no name of a variable": {"command": "x", "env": {"A=B": "c"}},
    "NUL": {"command": "x\0y"},
    "half of a character": {"command": "x", "args": ["\ud800"]},
    "both a command and a url": {"command": "x", "url": "https://x"},
    "http or https": {"url": "file:///etc/passwd"},
    "none that the shim knows": {"type": "ws", "url": "ws://x"},
    "the header A": {"url": "https://x", "headers": {"A": 1}},
}


@pytest.mark.parametrize("why", WRONG)
def test_a_wrong_entry_is_said_and_the_others_are_read(desk: Desk, why: str) -> None:
    desk.put("~/.cursor/mcp.json", {"mcpServers": {"bad": WRONG[why], "good": {"command": "x"}}})
    found = desk.find("cursor")
    assert [server.name for server in found.servers] == ["good"]
    (unusable,) = found.unusable
    assert unusable.name == "bad"
    assert why in unusable.why


COSTLY = {
    "more than 16 parts": "a." * 50_000 + "b = 1",
    "too many digits": "a = " + "9" * 5000,
    "deeper than 128": "a = " + "[" * 5000,
}


@pytest.mark.parametrize("why", COSTLY)
def test_toml_that_would_cost_too_much_is_not_read(desk: Desk, why: str) -> None:
    desk.put(".codex/config.toml", COSTLY[why])
    (unusable,) = desk.find("codex").unusable
    assert why in unusable.why


def test_dots_in_what_is_no_key_are_no_matter(desk: Desk) -> None:
    text = f'# {"Since 1.2.3. " * 99}\na = "{"See https://a.b.example.com/c. " * 99}"\n[mcp_servers.z]\ncommand = "x"\n'
    desk.put("~/.codex/config.toml", text)
    assert [server.name for server in desk.find("codex").servers] == ["z"]


def test_a_file_of_another_user_is_not_believed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    file = desk.put("~/.cursor/mcp.json", {"mcpServers": {"a": {"command": "x"}}})
    if os.geteuid() == 0:
        os.chown(file, 4711, 4711)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
    found = desk.find("cursor")
    assert not found.servers
    assert "belongs to another user" in found.unusable[0].why


def test_what_is_said_of_hostile_names_is_safe_to_show(desk: Desk) -> None:
    desk.put("~/.cursor/mcp.json", {"mcpServers": {"a": {"command": "x", "env": {"\x1b[2J\u202e\n": []}}}})
    (unusable,) = desk.find("cursor").unusable
    assert unusable.why == r"\x1b[2J\u202e\n in env is not text"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    ["command", "args", "env", "cwd", "url", "type", "headers", "httpUrl", "env_vars", "disabled"]
)


@given(
    st.dictionaries(
        st.sampled_from(["mcpServers", "servers", "mcp", "inputs", "projects", "mcp_servers"]),
        JSON | st.dictionaries(st.text(max_size=3), JSON | st.dictionaries(MEMBERS, JSON, max_size=4), max_size=3),
        max_size=4,
    )
)
def test_whatever_a_file_holds_nothing_is_raised(tmp_path_factory: pytest.TempPathFactory, value: Json) -> None:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    for place in ("~/.claude.json", ".mcp.json", ".vscode/mcp.json", ".vscode/settings.json", ".gemini/settings.json"):
        desk.put(place, value)
    for unusable in desk.find().unusable:
        assert unusable.why.isprintable()
