"""Where words of known programs are code, no value of a call may stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shim.upstream.commandline import code
from shim.upstream.commandline.finding import found
from shim.upstream.commandline.git import Taken
from shim.upstream.commandline.template import parsed
from tests.commandline.given import script

TAKEN = Taken(lists=frozenset({"list", "path"}), paths=frozenset({"path"}))
REFUSED: list[tuple[str, list[Any]]] = [
    ("sh", ["-c", "echo {x}"]),
    ("bash", ["script.sh", "{x}"]),
    ("dash", ["-c", 'echo "$1"', "sh", "{x}"]),
    ("busybox", ["ls", "{x}"]),
    ("env", ["A=1", "{x}"]),
    ("xargs", ["echo", "{x}"]),
    ("sudo", ["ls", "{x}"]),
    ("ssh", ["host", "{x}"]),
    ("timeout", ["5", "{x}"]),
    ("python3", ["-c", "{x}"]),
    ("python3.11", ["-c", "print({x})"]),
    ("python3", ["-W", "ignore", "{x}"]),
    ("python3", ["-Ic", "{x}"]),
    ("python3", ["-m", "{x}"]),
    ("python3", [["{x}"]]),
    ("perl", ["-e", "{x}"]),
    ("perl", ["-ne", "print", "{x}"]),
    ("perl", ["-Mstrict", "{x}"]),
    ("ruby", ["-e", "{x}"]),
    ("node", ["--loader", "a", "{x}"]),
    ("node", ["--eval={x}"]),
    ("node", ["-p", "{x}"]),
    ("php", ["-r", "{x}"]),
    ("awk", ["{x}"]),
    ("mawk", ["-F", ":", "{x}"]),
    ("gawk", ["-v", "a=1", "{x}"]),
    ("awk", ["{{print}}", "-f", "{x}"]),
    ("sed", ["s/a/{x}/"]),
    ("sed", ["-n", "-e", "{x}"]),
    ("sed", ["-ne", "{x}"]),
    ("sed", ["p", "--expression={x}"]),
    ("jq", ["{x}"]),
    ("jq", ["-r", ".a | {x}"]),
    ("jq", ["--arg", "a", "b", "{x}"]),
    ("jq", [".", "-f", "{x}"]),
    ("jq", ["-rf", "{x}"]),
    ("jq", [".", "--from-file", "{x}"]),
    ("find", [".", "-name", "a", "-exec", "{x}", ";"]),
    ("find", [".", "-exec", "grep", "{x}", "{{}}", ";"]),
    ("find", [".", "-okdir", "cat", "{x}", ";"]),
    ("fd", ["a", "-x", "cat", "{x}"]),
    ("git", ["clone", "--upload-pack={x}", "a"]),
    ("git", ["log", "--exec-path={x}"]),
    ("git", ["rebase", "--exec", "{x}"]),
    ("git", ["--no-pager", "-C", "repo", "-c", "{x}", "status"]),
    ("git", ["-c", "user.name=A", "-c", "core.{x}", "status"]),
    ("git", ["clone", "-c", "{x}", "--", "url"]),
    ("git", ["submodule", "--quiet", "foreach", "{x}"]),
    ("git", ["bisect", "run", "{x}"]),
    ("sort", ["--compress-program={x}"]),
    ("split", ["-n", "2", "--filter={x}"]),
    ("scp", ["-o", "{x}", "a", "b"]),
    ("mysql", ["-e", "{x}"]),
    ("nvim", ["{x}"]),
    ("psql", ["-X", "-c", "{x}"]),
    ("psql", ["-X", "--command={x}"]),
    ("psql", ["-X", "-f", "{x}"]),
    ("psql", ["-Xc", "\\\\{x}"]),
    ("sqlite3", ["a.db", "{x}"]),
    ("tar", ["xf", "a", "--to-command={x}"]),
    ("tar", ["cf", "a", "-I", "{x}"]),
    ("rsync", ["a", "b", "-e", "{x}"]),
    ("curl", ["-K", "{x}"]),
]


@pytest.mark.parametrize(("program", "run"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_value_is_never_code(program: str, run: list[Any]) -> None:
    assert code.fault([program], [parsed(one) for one in run], fed=False) is not None


ACCEPTED: list[tuple[str, list[Any]]] = [
    ("python3", ["-I", "script.py", "{x}", ["-c", "{y}"]]),
    ("python3", ["-m", "json.tool", "{x}"]),
    ("python3", ["-c", "import sys; print(sys.argv)", "{x}"]),
    ("node", ["script.js", "--eval={x}"]),
    ("awk", ["-F:", "{{print $1}}", "{x}"]),
    ("sed", ["-n", "1,10p", "{x}"]),
    ("sed", ["-n", "-e", "p", "{x}"]),
    ("jq", ["-r", "--arg", "name", "{x}", ".[$name]"]),
    ("jq", ["-rc", {"x": {"true": "-S"}}, ".", "{x}"]),
    ("find", [".", "-name", "{x}"]),
    ("git", ["log", "--author={x}", "--", "{x}"]),
    ("git", ["switch", "-c", "{x}"]),
    ("git", ["-C", "repo", "-c", "user.name={x}", "commit", "-c", "{x}"]),
    ("git", ["log", "--", "foreach", "{x}"]),
    ("psql", ["-X", "-v", "name={x}", "-c", "select 1"]),
    ("psql", ["-X", "--command= {x}"]),
    ("psql", ["-X", "-c", "select * from ({x}) as q limit 100"]),
    ("sqlite3", ["-safe", "a.db", " {x}"]),
    ("kubectl", ["get", "pods", "-n", "{x}"]),
    ("sh", ["-c", "echo literal"]),
    ("env", []),
]


@pytest.mark.parametrize(("program", "run"), ACCEPTED, ids=lambda value: str(value)[:40])
def test_a_value_beside_the_code_is_none(program: str, run: list[Any]) -> None:
    assert code.fault([program], [parsed(one) for one in run], fed=False) is None


DOUBTED: list[list[Any]] = [
    ["checkout", "{x}"],
    ["-C", "repo", "checkout", "--quiet", ["{x}"]],
    ["checkout", "HEAD", "{x}"],
    [{"x": {"a": "log", "b": "checkout"}}, "{x}"],
    [{"x": {"a": "--no-pager"}}, "checkout", "{x}"],
    ["diff", "{x}", "{y}"],
    ["diff", "--", "{list}"],
    ["diff", "--staged", "--", "a", "{x}"],
    ["diff", ["{x}"], "--", "{y}"],
    ["diff", "-S", "{x}", "--", "{list}"],
    ["diff", "--no-index", "a", "{x}"],
]
SURE: list[list[Any]] = [
    ["checkout", "{x}", "--"],
    ["checkout", ["{x}", "--"]],
    ["checkout", "--", "{x}"],
    ["checkout", "-b", "{x}"],
    ["diff", "{x}"],
    ["diff", "{x}..{y}"],
    ["diff", "-S", "{x}", "{y}"],
    ["diff", "{x}", "{y}", "--"],
    ["diff", "HEAD", "--", "{list}"],
    ["diff", "--", "{path}"],
    ["diff", "--", ":(literal){x}", ":(literal){y}"],
]


@pytest.mark.parametrize(
    ("run", "is_doubted"), [*((run, True) for run in DOUBTED), *((run, False) for run in SURE)], ids=str
)
def test_a_value_that_git_may_take_for_a_file_is_told_of(run: list[Any], is_doubted: bool) -> None:
    elements = [parsed(one) for one in run]
    assert (code.doubt(["git"], elements, TAKEN) is not None) == is_doubted
    assert code.doubt(["cat"], elements, TAKEN) is None
    assert code.fault(["git"], elements, fed=False) is None


@pytest.mark.parametrize(
    ("program", "run", "is_refused"),
    [
        ("python3", [], True),
        ("python3", ["-"], True),
        ("python3", ["-I", "script.py"], False),
        ("sh", [], True),
        ("psql", ["-X"], True),
        ("jq", ["-f", "-"], True),
        ("jq", ["-f", "filter.jq"], False),
        ("jq", ["."], False),
        ("awk", ["-f", "/dev/stdin"], True),
    ],
)
def test_what_comes_on_stdin_is_code_for_some(program: str, run: list[Any], is_refused: bool) -> None:
    assert (code.fault([program], [parsed(one) for one in run], fed=True) is not None) == is_refused


def test_it_is_what_it_really_is_whatever_it_is_called(tmp_path: Path) -> None:
    names = {}
    for real, called in (("dash", "greet"), ("busybox", "ls"), ("busybox", "sh"), ("jq", "jq")):
        script(tmp_path, "", real)
        if called != real:
            (tmp_path / called).symlink_to(real)
        names[called] = found(called, [str(tmp_path)]).names
    assert names == {"greet": ("greet", "dash"), "ls": ("ls",), "sh": ("sh",), "jq": ("jq",)}
    filled = [parsed("a"), parsed("{x}")]
    assert code.fault(names["greet"], filled, fed=False) is not None
    assert code.fault(names["ls"], filled, fed=False) is None
    assert code.fault(names["sh"], filled, fed=False) is not None
