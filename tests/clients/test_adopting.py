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


def test_what_the_client_asks_for_waits_for_a_person_and_stands_in_nobodys_way(tmp_path: Path) -> None:
    one = server(
        url="https://host/mcp", headers={"Authorization": "Bearer ${input:My Key}"}, secret_inputs=frozenset({"My Key"})
    )
    plan = adopt(Found((one, server("two", env={"PROJECT": "${input:project}"}))), around())
    assert plan.awaited == ("my-key", "project")
    assert not plan.secrets
    first, second = plan.upstreams
    assert first.headers == {"Authorization": "Bearer ${secret:my-key}"}
    assert (first.missing, first.needs) == (None, ("its client asks for 'My Key': put it into config/secrets/my-key",))
    assert (second.env, second.missing, len(second.needs)) == ({"PROJECT": "${secret:project}"}, None, 1)
    text = written(plan)
    assert "## To do: its client asks for 'My Key': put it into config/secrets/my-key" in text
    # and the configuration has both before anybody has given anything
    used = loaded(tmp_path, text)
    assert list(used.upstreams) == ["one", "two"]
    assert used.upstreams["one"].catalog == {"my-key": "my-key"}


def test_what_a_client_asks_for_is_never_what_was_given_for_something_else() -> None:
    # given a key of another server, and questions of the same name in two files
    mine = server(env={"A": "${input:token}"})
    other = Origin("vscode", Path("/home/dev/mcp.json"), "user")
    theirs = Server("two", other, "stdio", command=("server",), env={"A": "${input:token}"})
    plan = adopt(Found((mine, theirs)), around(standing={"token": "of another server"}))
    assert [one.env for one in plan.upstreams] == [{"A": "${secret:token-2}"}, {"A": "${secret:token-3}"}]


VARIABLES = [
    ({"A": "${env:SET}", "B": "${env:UNSET:-fallback}"}, {"A": "${env:SET}", "B": "fallback"}, {}),
    ({"A": "${env:UNSET}"}, {"A": "${secret:unset}"}, {"unset": "UNSET"}),
    ({"A": "${env:MY_TOKEN}"}, {"A": "${secret:my-token}"}, {"my-token": "MY_TOKEN"}),
    ({"API_KEY": "${env:SET}"}, {"API_KEY": "${secret:set}"}, {"set": "SET"}),
    (
        {"A": "x${env:UNSET}", "B": "${env:UNSET}"},
        {"A": "x${secret:unset}", "B": "${secret:unset}"},
        {"unset": "UNSET"},
    ),
    ({"A": "pg://u:${env:SET}@h/d"}, {"A": "pg://u:${secret:set}@h/d"}, {"set": "SET"}),
    ({"A": "Server=h;Pwd=${env:SET};"}, {"A": "Server=h;Pwd=${secret:set};"}, {"set": "SET"}),
    ({"A": "http://h:${env:SET}/"}, {"A": "http://h:${env:SET}/"}, {}),
]


@pytest.mark.parametrize(("before", "after", "variables"), VARIABLES, ids=[str(before) for before, _, _ in VARIABLES])
def test_a_variable_that_is_not_set_or_holds_a_key_is_a_secret(
    before: dict[str, str], after: dict[str, str], variables: dict[str, str], tmp_path: Path
) -> None:
    environ = {"SET": "x", "MY_TOKEN": "y"}
    plan = adopt(Found((server(env=before),)), around(environ))
    [one] = plan.upstreams
    assert (one.env, one.missing) == (after, None)
    assert plan.variables == variables
    assert one.secrets == tuple(variables)
    assert [need for need in one.needs if "UNSET" not in need] == []
    # Where none of them is set, what is no key stops the shim, and what is one its server alone.
    secrets = loaded(tmp_path, written(plan), {"SET": "x"}).secrets
    assert {name: block.name for name, block in secrets.items()} == variables


def test_a_variable_in_the_arguments_is_handed_over_as_a_key_is() -> None:
    environ = {"SET": "x", "TOKEN": "y", "OTHER": "z"}
    words = ("x", "${env:SET}", "${env:UNSET}", "--api-key", "${env:OTHER}", "--auth=${env:TOKEN}", "${input:who}")
    [one] = adopt(Found((server(command=words),)), around(environ)).upstreams
    assert one.command is not None
    assert shlex.split(one.command[2])[1:] == [
        "x",
        "$SHIM_SET",
        "$SHIM_UNSET",
        "--api-key",
        "$SHIM_OTHER",
        "--auth=$SHIM_TOKEN",
        "$SHIM_WHO",
    ]
    assert one.env == {
        "SHIM_SET": "${env:SET}",
        "SHIM_UNSET": "${secret:unset}",
        "SHIM_OTHER": "${secret:other}",
        "SHIM_TOKEN": "${secret:token}",
        "SHIM_WHO": "${secret:who}",
    }
    assert any("UNSAFE" in remark for remark in one.remarks)
    # Only a key is unsafe there.
    [plain] = adopt(Found((server(command=("x", "${env:UNSET}")),)), around()).upstreams
    assert plain.env == {"SHIM_UNSET": "${secret:unset}"}
    assert not plain.remarks


@pytest.mark.parametrize("more", [{"url": "https://${env:UNSET}/mcp"}, {"cwd": "${env:UNSET}/x"}], ids=["url", "cwd"])
def test_where_no_secret_can_stand_a_variable_that_is_not_set_leaves_the_upstream_out(
    more: dict[str, str], tmp_path: Path
) -> None:
    plan = adopt(Found((server(**more),)), around())
    [one] = plan.upstreams
    assert one.missing == "the variable UNSET is not set; set it where mcp-shim is started"
    assert not loaded(tmp_path, written(plan)).upstreams


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
