"""Which servers become upstreams, under which names; what was found twice, and what is left out and why."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim import templates
from shim.clients import naming
from shim.clients.adopting import adopt
from shim.clients.server import Found, Origin, Server
from tests.clients.given import around, loaded, server, written


def test_a_password_that_the_client_asks_for_waits_for_a_person() -> None:
    one = server(
        url="https://host/mcp", headers={"Authorization": "Bearer ${input:My Key}"}, secret_inputs=frozenset({"My Key"})
    )
    plan = adopt(Found((one,)), around())
    assert plan.awaited == ("my-key",)
    assert not plan.secrets
    [made] = plan.upstreams
    assert made.headers == {"Authorization": "Bearer ${secret:my-key}"}
    assert made.missing is not None
    assert "config/secrets/my-key" in made.missing


def test_a_variable_stays_one_where_it_is_set_and_is_told_where_not() -> None:
    found = Found(
        (server(env={"A": "${env:SET}", "B": "${env:UNSET:-fallback}"}), server("two", env={"A": "${env:UNSET}"}))
    )
    plan = adopt(found, around({"SET": "x"}))
    first, second = plan.upstreams
    assert (first.env, first.missing) == ({"A": "${env:SET}", "B": "fallback"}, None)
    assert second.missing is not None
    assert "UNSET" in second.missing


OUT = [
    (server(disabled=True), "switched off"),
    (Server("x", Origin("cursor", Path("/f"), "user"), "sse", url="https://host/sse"), "HTTP+SSE"),
    (server(command=("/opt/bin/mcp-shim", "stdio")), "mcp-shim itself"),
    (server("mcp-shim", url="http://127.0.0.1:8765/mcp"), "mcp-shim itself"),
    (server(env={"NOT-A-NAME": "x"}), "no variable called NOT-A-NAME"),
    (server(url="https://hös t/"), "characters that a URL cannot"),
    (server(command=("x", "${config:some.setting}")), "only the editor knows"),
    (server(env={"A": "a" * 100_000}), "longer than"),
    (server(command=("x", "nul\0")), "NUL"),
    (server(cwd="/bytes/\udcff"), "not Unicode"),
    (server(command=("x", "$${env:SET}")), "right before a variable"),
    (Server("y", Origin("claude-code", Path("/f"), "project", Path("/other")), "stdio", command=("x",)), "/other"),
]


@pytest.mark.parametrize(("one", "why"), OUT, ids=[why for _, why in OUT])
def test_what_cannot_be_taken_over_is_listed_with_its_reason(one: Server, why: str, tmp_path: Path) -> None:
    plan = adopt(Found((one, server("fine"))), around({"SET": "x"}))
    [out] = plan.left_out
    assert why in out.why
    assert [made.name for made in plan.upstreams] == ["fine"]
    assert list(loaded(tmp_path, written(plan)).upstreams) == ["fine"]


def test_headers_of_the_protocol_are_the_shims_own() -> None:
    plan = adopt(
        Found((server(url="https://h/", headers={"Accept": "x", "Mcp-Name": "y", "A": "1", "a": "2"}),)), around()
    )
    [one] = plan.upstreams
    assert one.headers == {"A": "1"}
    assert len(one.remarks) == 3


# Names, folders, and what was found twice


def test_the_same_server_in_several_clients_is_one_upstream() -> None:
    desktop = Server("Git", Origin("claude-desktop", Path("/home/dev/d.json"), "user"), "stdio", command=("server",))
    cursor = Server("git", Origin("cursor", Path("/home/dev/c.json"), "user"), "stdio", command=("server",))
    plan = adopt(Found((desktop, cursor, server("git"))), around())
    [one] = plan.upstreams
    assert [str(place) for place in one.places] == [
        "Claude Desktop, ~/d.json, Git",
        "Cursor, ~/c.json, git",
        "VS Code, .vscode/mcp.json, git",
    ]
    assert (one.name, one.cwd) == ("git", "..")


def test_two_that_want_one_name_get_two() -> None:
    plan = adopt(
        Found((server("My Server"), server("my-server", command=("b",)), server("ünï__x_", command=("c",)))), around()
    )
    assert [one.name for one in plan.upstreams] == ["my-server", "my-server-2", "uni_x"]


@given(st.text(max_size=80))
def test_any_text_makes_a_name_that_an_upstream_may_have(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9](?:_?[a-z0-9-])*", naming.upstream(text))
    assert re.fullmatch(templates.NAME, naming.secret(text))
    assert re.fullmatch(r"[A-Z_][A-Z0-9_]*", naming.variable(text))


def test_a_name_without_end_is_shown_cut() -> None:
    [one] = adopt(Found((server("x" * 100_000),)), around()).upstreams
    assert len(str(one.places[0])) < 200


COMMANDS = [
    ("uvx mcp-server-git --repository /srv/repo", "git"),
    ("npx -y @modelcontextprotocol/server-filesystem@2025.8.21 /tmp", "filesystem"),
    ("python -m my_tools", "my_tools"),
    ("node ./build/index.js", "index"),
    ("/opt/weather-mcp", "weather"),
    ("npx", "npx"),
]


@pytest.mark.parametrize(("line", "name"), COMMANDS)
def test_a_command_line_gives_a_name(line: str, name: str) -> None:
    [one] = adopt(Found(), around(), commands=[shlex.split(line)]).upstreams
    assert (one.name, str(one.places[0])) == (name, "--command")


def test_a_program_beside_the_project_is_found_from_the_configuration() -> None:
    plan = adopt(Found((server(command=("./bin/server", "."), cwd="sub"),)), around())
    [one] = plan.upstreams
    assert one.command == ("/work/project/sub/bin/server", ".")
    assert one.cwd == "/work/project/sub"
