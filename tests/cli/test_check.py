"""`check`: exit code 1 for an upstream that is down and for a condition that its tools cannot meet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import edit
from tests.promises.running import run
from tests.secrets.asking import put


async def test_all_is_well(config: Path) -> None:
    code, out, err = await run(config, "check", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["ok"], found["problems"]) == (True, [])
    states = [(up["name"], up["state"], up["era"], up["error"], up["tools"] > 0) for up in found["upstreams"]]
    assert states == [("git", "up", "modern", None, True), ("time", "up", "modern", None, True)]


async def test_an_upstream_that_is_down_is_a_problem(config: Path) -> None:
    edit(config, "mcp-server-time", "mcp-server-nowhere")
    code, out, _ = await run(config, "check", "--json")
    assert code == 1
    found = json.loads(out)
    assert found["ok"] is False
    time = found["upstreams"][1]
    assert (time["name"], time["state"], time["tools"]) == ("time", "down", None)
    assert time["error"]


async def test_why_an_upstream_is_down_is_said_once(config: Path) -> None:
    edit(config, "mcp-server-time", "mcp-server-nowhere")
    _, out, err = await run(config, "check")
    assert (out.count("mcp-server-nowhere was not found"), err) == (1, "")
    # Who looks closer has the log as well, a JSON object a line where it is no terminal.
    _, _, err = await run(config, "check", more={"MCP_SHIM_DEBUG": "1"})
    told = [json.loads(line) for line in err.splitlines()]
    assert {line["logger"] for line in told if "was not found" in line["message"]} == {"shim.upstream.time"}


@pytest.mark.parametrize(
    ("waiting", "counted"),
    [
        ("", "2 grants, 2 upstreams"),
        ("  - {name: a, to: [reader], allow: []}\n", "2 grants (1 more allows nothing yet), 2 upstreams"),
        (
            "  - {name: a, to: [reader], allow: []}\n  - {name: b, to: [reader], allow: []}\n",
            "2 grants (2 more allow nothing yet), 2 upstreams",
        ),
        ("  - {name: a, to: [reader], deny: [git/git_add]}\n", "3 grants, 2 upstreams"),
    ],
)
async def test_what_waits_to_be_filled_is_not_counted_as_a_grant(config: Path, waiting: str, counted: str) -> None:
    edit(config, "grants:\n", f"grants:\n{waiting}")
    code, out, _ = await run(config, "check", "--offline")
    assert (code, out.splitlines()[-1]) == (0, f"ok: {counted}")


async def test_offline_reaches_nothing(config: Path) -> None:
    edit(config, "mcp-server-time", "mcp-server-nowhere")
    code, out, _ = await run(config, "check", "--offline", "--json")
    assert code == 0
    assert [up["state"] for up in json.loads(out)["upstreams"]] == [None, None]


async def test_an_argument_that_no_tool_declares_is_found_at_its_line(config: Path) -> None:
    line = edit(config, "args.message", "args.mesage")
    code, out, _ = await run(config, "check", "--json")
    assert code == 1
    [problem] = json.loads(out)["problems"]
    assert (problem["file"], problem["line"], problem["level"]) == (str(config), line, "error")
    assert "mesage" in problem["message"]


CURATED = """
tools:
  words/say: {fixed: {word: -canary}}
  api/read: {default: {file: ../canary}}
"""


def with_misplaced(config: Path) -> int:
    """Two upstreams whose tools are given what cannot stand in its place; the line on which the first is."""
    item = {"name": "file", "in": "path", "required": True, "schema": {"type": "string"}}
    paths = {"/{file}": {"get": {"operationId": "read", "parameters": [item]}}}
    (config.parent / "api.json").write_text(json.dumps({"openapi": "3.1.0", "paths": paths}))
    word = "{say: {run: [a, '{word}'], input: {word: {type: string, maxLength: 9}}}}"
    more = (
        f"upstreams:\n  words: {{program: echo, tools: {word}}}\n"
        '  api: {openapi: api.json, base: "http://127.0.0.1:9", operations: ["*"]}\n'
    )
    edit(config, "upstreams:\n", more)
    config.write_text(config.read_text() + CURATED)
    return config.read_text().split("\n").index("  words/say: {fixed: {word: -canary}}") + 1


async def test_a_value_that_cannot_stand_in_its_place_is_found_at_its_line(config: Path) -> None:
    line = with_misplaced(config)
    code, out, err = await run(config, "check", "--json")
    assert code == 0, err
    problems = [(one["line"], one["level"], one["message"]) for one in json.loads(out)["problems"]]
    assert [one[:2] for one in problems] == [(line, "warning"), (line + 1, "warning")]
    assert problems[0][2].startswith("`words/say` fixes 'word' to what words/say does not take: it begins with `-`")
    assert problems[1][2].startswith("`api/read` defaults 'file' to what api/read does not take: it ")
    assert "canary" not in out + err


SECRETS = """
secrets:
  key: {source: env, name: KEY}
  plain: {source: file, path: plain}
  spare: {source: env, name: NOWHERE}
"""


def with_secrets(config: Path) -> int:
    """Two upstreams that are handed a secret each; the line on which the first secret stands."""
    edit(config, "Etc/UTC]}", 'Etc/UTC], env: {KEY: "${secret:key}", PLAIN: "${secret:plain}"}}')
    edit(config, "sample]}", 'sample], env: {KEY: "${secret:key}"}}')
    config.write_text(config.read_text() + SECRETS)
    (config.parent / "plain").write_text("canary-7f3a9c51")
    (config.parent / "plain").chmod(0o600)
    return config.read_text()[: config.read_text().index("  key: {")].count("\n") + 1


async def test_each_secret_is_a_line_that_says_how_long_it_lives(config: Path) -> None:
    line = with_secrets(config)
    code, out, err = await run(config, "check", "--json", more=dict.fromkeys(("KEY", "NOWHERE"), "canary-7f3a9c51"))
    assert code == 0, out + err
    assert [(problem["line"], problem["level"]) for problem in json.loads(out)["problems"]] == [
        (line, "warning"),
        (line + 1, "warning"),
        (line + 2, "warning"),
    ]
    key, plain, spare = (problem["message"] for problem in json.loads(out)["problems"])
    assert key == "key is long-lived: it holds until somebody changes it (handed to git, time)"
    assert plain.endswith("(handed to time)")
    assert spare == "no upstream uses the secret spare; write ${secret:spare} where it goes, or take it out"
    assert "canary" not in out + err


async def test_a_secret_that_cannot_be_had_is_an_error_at_its_line(config: Path) -> None:
    line = with_secrets(config)
    (config.parent / "plain").unlink()
    code, out, _ = await run(config, "check", "--json")
    assert code == 1
    errors = [problem for problem in json.loads(out)["problems"] if problem["level"] == "error"]
    assert [problem["line"] for problem in errors] == [line, line + 1, line + 2]
    assert errors[0]["message"].startswith("the secret key is not available: the environment variable KEY is not set")
    assert "cannot be read: No such file" in errors[1]["message"]
    assert [up["state"] for up in json.loads(out)["upstreams"]] == ["up", "up"]


async def test_a_file_of_each_caller_is_said_to_be_and_not_read(config: Path) -> None:
    line = with_secrets(config)
    edit(config, "path: plain}", "path: 'keys/{identity}'}")
    code, out, err = await run(config, "check", "--json", more={"KEY": "canary-7f3a9c51", "NOWHERE": "canary-7f3a9c51"})
    assert code == 0, out + err
    found = next(problem for problem in json.loads(out)["problems"] if problem["line"] == line + 1)
    assert found["message"].startswith("plain is long-lived, another for each caller: ")


async def test_offline_asks_for_no_secret(config: Path) -> None:
    with_secrets(config)
    code, out, _ = await run(config, "check", "--offline", "--json")
    assert code == 0
    assert {problem["level"] for problem in json.loads(out)["problems"]} == {"warning"}


async def test_a_name_that_only_a_grant_binds_and_a_secret_of_each_caller_are_not_asked_for(config: Path) -> None:
    put(config.parent / "app.pem", "no key")
    upstream = '  web: {url: "http://127.0.0.1:9/mcp", headers: {X-Key: "${secret:own}"}}\n'
    edit(config, "upstreams:\n", f"upstreams:\n{upstream}")
    edit(config, "grants:\n", "grants:\n  - {name: bound, to: [me], allow: [web/x], bind: {own: hub}}\n")
    with config.open("a") as file:
        file.write("secret_sources: {app: {type: github-app, app_id: 1, private_key: app.pem}}\n")
        file.write("secrets: {hub: {source: app, installation: '{claims.org}', permissions: {contents: read}}}\n")
    _, out, err = await run(config, "check", "--json")
    assert [problem for problem in json.loads(out)["problems"] if "hub" in problem["message"]] == [], out + err
