"""What cannot be understood: exit code 2, one line that says so, and never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shim import __version__
from tests.promises.running import run, write_config

LATER = [
    ["policy", "lint"],
    ["approvals", "list"],
    ["freeze", "--all"],
    ["thaw", "git"],
    ["pins", "accept", "--all"],
    ["serve", "--workers", "4"],
    ["log", "export", "--format", "parquet"],
    ["log", "export", "--format", "syslog"],
]


@pytest.mark.parametrize("words", LATER, ids=" ".join)
async def test_what_is_not_built_yet_is_refused(config: Path, words: list[str]) -> None:
    code, out, err = await run(config, *words)
    assert (code, out) == (2, "")
    assert "not supported by this version" in err
    assert len(err.splitlines()) == 1


WRONG = [
    ["bogus"],
    ["tools", "--bogus"],
    ["tools", "--identity", "nobody"],
    ["explain", "--identity", "nobody", "--tool", "git/git_status"],
    ["explain", "--identity", "reader"],
    ["call", "--identity", "reader", "resource:git/note://a", '{"b": 1}'],
    ["explain", "--identity", "reader", "--tool", "git/git_log", "--args", "{"],
    ["explain", "--identity", "reader", "--tool", "git/git_log", "--args", '{"a": 1, "a": 2}'],
    ["explain", "--batch", "nowhere.jsonl"],
    ["call", "--identity", "nobody", "git/git_status"],
    ["call", "--identity", "reader", "git/git_status", "[]"],
    ["call", "--identity", "remote", "git/git_commit", "{}"],
    ["stdio", "--identity", "nobody"],
    ["stdio", "--identity", "remote"],
    ["token", "new", "nobody"],
    ["token", "new", "reader", "--expires", "soon"],
    ["log", "list", "--since", "yesterday"],
    ["log", "list", "--status", "fine"],
    ["log", "list", "--tool", "git/[a"],
    ["log", "export", "--format", "xml"],
    ["log", "export", "--events", "--identity", "reader"],
    ["log", "verify", "--checkpoint", "12"],
    ["log", "verify", "--file", "nowhere.jsonl"],
    ["serve", "--listen", "nonsense"],
    ["serve", "--listen", "0.0.0.0:0"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
async def test_what_cannot_be_understood_is_code_2(config: Path, words: list[str]) -> None:
    code, out, err = await run(config, *words)
    assert (code, out) == (2, "")
    assert err
    assert "Traceback" not in err


async def test_faults_of_the_configuration_are_in_the_json_as_well(tmp_path: Path) -> None:
    config = write_config(tmp_path, "version: 1\nupstreams: {}\nidentitis: {}\n")
    code, out, err = await run(config, "check", "--json")
    assert code == 2
    found = json.loads(out)
    assert (found["ok"], found["upstreams"]) == (False, [])
    assert [(problem["file"], problem["line"], problem["level"]) for problem in found["problems"]] == [
        (str(config), 3, "error")
    ]
    assert err.startswith(f"{config}:3: ")


async def test_the_configuration_may_be_named_before_the_verb_or_by_the_environment(config: Path) -> None:
    code, out, err = await run(config, "--config", str(config), "token", "list", "--json")
    assert code == 0, err
    assert [token["identity"] for token in json.loads(out)] == ["reader", "writer"]


async def test_the_version(config: Path) -> None:
    code, out, _ = await run(config, "--version")
    assert (code, out) == (0, f"mcp-shim {__version__}\n")
