"""A command line that is no server: what `init` makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.clients.values import Inexpressible
from shim.clients.wrapping import wrapped
from tests.commandline.given import script


@pytest.fixture
def path(tmp_path: Path) -> str:
    for name in ("kubectl", "psql", "jq", "curl"):
        script(tmp_path, "echo $*", name)
    return str(tmp_path)


def test_what_may_be_a_value_is_an_input_with_its_value_as_default(path: str) -> None:
    made = wrapped(["kubectl", "get", "pods", "-n", "default", "--output=json", "--limit=5", "-w", "a b{c}"], path)
    assert made is not None
    assert (made.program, made.path, made.tool) == ("kubectl", (path,), "get_pods")
    assert made.run == ("get", "pods", "-n", "{n}", "--output={output}", "--limit={limit}", "-w", "{w}")
    pattern = "[A-Za-z0-9_./:@][A-Za-z0-9_./:@-]{0,99}"
    assert made.inputs == {
        "n": {"type": "string", "pattern": pattern, "default": "default"},
        "output": {"type": "string", "pattern": pattern, "default": "json"},
        "limit": {"type": "integer", "minimum": 0, "default": 5},
        "w": {"type": "string", "maxLength": 1000, "default": "a b{c}"},
    }


def test_a_command_behind_options_is_not_a_call_s_to_choose(path: str) -> None:
    made = wrapped(["kubectl", "-n", "default", "get", "pods", "--limit=5"], path)
    assert made is not None
    assert made.run == ("-n", "default", "get", "pods", "--limit={limit}")


def test_what_no_call_could_send_stays_what_it_is(path: str) -> None:
    made = wrapped(["kubectl", "get", "-n", "a\nb", "-w", "x" * 1001, "--to=\x1b", "c"], path)
    assert made is not None
    assert made.run == ("get", "-n", "a\nb", "-w", "x" * 1001, "--to=\x1b", "{to}")
    made = wrapped(["kubectl", "get"], path)
    assert made is not None
    assert "takes no arguments yet" in made.remark


@pytest.mark.parametrize(
    ("words", "run"),
    [
        (["psql", "-c", "select 1"], ("-c", "select 1")),
        (["jq", "-n", "{a: 1}"], ("-n", "{{a: 1}}")),
    ],
)
def test_code_stays_what_it_is(path: str, words: list[str], run: tuple[str, ...]) -> None:
    made = wrapped(words, path)
    assert made is not None
    assert (made.run, made.inputs) == (run, {})
    assert "takes no arguments yet" in made.remark


@pytest.mark.parametrize(
    "words",
    [["mcp-server-git"], ["npx", "thing"], ["kubectl", "mcp"], ["gone", "x"], ["curl", "--stdio"], ["sh", "-c"]],
)
def test_what_may_be_a_server_is_none_of_these(path: str, words: list[str]) -> None:
    assert wrapped(words, path) is None


def test_a_key_in_its_words_is_left_out(path: str) -> None:
    with pytest.raises(Inexpressible, match="a key stands in its words"):
        wrapped(["curl", "-H", "Authorization: Bearer ghp_k3yInPlainTextk3yInPlainText1234567"], path)


def test_a_program_that_others_can_write_is_left_out(path: str) -> None:
    Path(path, "jq").chmod(0o777)
    with pytest.raises(Inexpressible, match="everybody can write"):
        wrapped(["jq", "."], path)
