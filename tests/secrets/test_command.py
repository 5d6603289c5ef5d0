"""Secrets that a program prints: real programs, right and wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shim.secrets.command import Command, Keys, Where
from shim.secrets.source import Around, Issued, Purpose, Unavailable

CANARY = "canary-7f3a9c"
CALL = Purpose("lease-1", "alice", {"team": "-rf", "n": 7, "nul": "a\0b", "half": "\ud800", "none": ""}, "t/x", "inv-1")
DEFAULT = frozenset({None})


def source(environment: Mapping[str, str] | None = None, **where: Any) -> Command:
    ours = {"PATH": os.environ["PATH"], **(environment or {})}
    return Command("helper", Where(**where), Around(ours, lambda: datetime.now(UTC), os.urandom, lambda: "id"))


async def printed(*run: str, by: Command | None = None) -> str | None:
    return (await (by or source()).issue(Keys(run=run), DEFAULT, CALL)).values[None]


async def members(content: str, *fields: str) -> Issued:
    return await source().issue(Keys(run=("printf", "%s", content), json=True), frozenset(fields), CALL)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Whoever adopts it may not have reaped it yet; where there is no such file, that is not told.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


async def until(condition: Callable[[], bool]) -> None:
    """What another process does tells nobody here."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        await asyncio.sleep(0.01)


async def told(path: Path, lines: int = 1) -> list[int]:
    """The process ids that a program wrote to a file, once there are so many."""
    await until(lambda: path.exists() and path.read_text().count("\n") >= lines)
    return numbers(path)


def was_written(path: Path) -> bool:
    return path.exists()


def numbers(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()]


async def gone(*pids: int) -> None:
    await until(lambda: not any(is_alive(pid) for pid in pids))


def is_child(pid: int) -> bool:
    """Whether it was not reaped."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


@pytest.mark.parametrize(
    ("content", "value"),
    [("a b", "a b"), ("x\\n", "x"), ("x\\r\\n", "x"), ("x\\n\\n", "x\n"), ("", ""), ("\\377", "\udcff")],
)
async def test_the_value_is_what_it_prints_but_for_one_newline(content: str, value: str) -> None:
    issued = await source().issue(Keys(run=("printf", content)), DEFAULT, CALL)
    assert (issued.values, issued.expires, issued.revocation) == ({None: value}, None, None)


async def test_fields_are_members_that_are_texts_or_numbers() -> None:
    content = json.dumps({"user": "bob", "port": 5432, "ratio": 0.5, "on": True, "list": [CANARY]})
    issued = await members(content, "user", "port", "ratio")
    assert issued.values == {"user": "bob", "port": "5432", "ratio": "0.5"}
    for wrong in ("on", "list", "absent"):
        with pytest.raises(Unavailable, match=f"no text or number under {wrong}"):
            await members(content, "user", wrong)
    for garbage in (f'["{CANARY}"]', f'{{"a": "{CANARY}", "a": 1}}', CANARY, ""):
        with pytest.raises(Unavailable, match="did not print one JSON object") as refused:
            await members(garbage, "a")
        assert CANARY not in str(refused.value)
        assert refused.value.__context__ is None


async def test_fields_go_with_json_alone() -> None:
    with pytest.raises(Unavailable, match="name one"):
        await source().issue(Keys(run=("printf", "{}"), json=True), DEFAULT, CALL)
    with pytest.raises(Unavailable, match="json: true"):
        await source().issue(Keys(run=("printf", "x")), frozenset({"a"}), CALL)


async def test_it_gets_what_it_is_given_and_nothing_else_of_ours() -> None:
    by = source(
        {"HOME": "/h", "LANG": "C.UTF-8", "SHIM_KEY": CANARY, "XDG_RUNTIME_DIR": "/x"},
        env={"TOKEN": "t", "LANG": "C.utf8"},
    )
    script = (
        "import os,sys;print(sorted(os.environ.items()), repr(sys.stdin.read()), os.getcwd(), os.listdir('/dev/fd'))"
    )
    said = await printed(sys.executable, "-S", "-c", script, by=by)
    variables = [("HOME", "/h"), ("LANG", "C.utf8"), ("PATH", os.environ["PATH"]), ("TOKEN", "t")]
    assert said is not None
    assert said.startswith(f"{variables} '' / ")
    # The last is the folder that it reads.
    assert said.endswith("['0', '1', '2', '3']")
    assert CANARY not in repr(by) + repr(Where(env={"TOKEN": CANARY}))


async def test_a_program_is_looked_for_in_the_path_of_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "helper"
    program.write_text("#!/bin/sh\necho here-it-is\n")
    monkeypatch.chdir(tmp_path)
    for path in ("", ".", "/nowhere"):
        with pytest.raises(Unavailable, match="helper was not found"):
            await printed("helper", by=source(env={"PATH": path}))
    with pytest.raises(Unavailable, match="may not be executed"):
        await printed("helper", by=source(env={"PATH": str(tmp_path)}))
    program.chmod(0o700)
    assert await printed("helper", by=source(env={"PATH": str(tmp_path)})) == "here-it-is"
    assert await printed(str(program)) == "here-it-is"
    program.write_text("#!/no/such/interpreter\n")
    with pytest.raises(Unavailable, match="could not be started: No such file"):
        await printed(str(program))


@pytest.mark.parametrize(
    ("script", "why"),
    [("exit 3", "sh exited with status 3"), ("kill -9 $$", "sh was ended by signal 9")],
)
async def test_what_a_program_that_failed_printed_is_not_told(script: str, why: str) -> None:
    with pytest.raises(Unavailable, match=why) as refused:
        await printed("sh", "-c", f"echo {CANARY}; echo {CANARY} >&2; {script}")
    assert CANARY not in str(refused.value)
    assert refused.value.__context__ is None


async def test_output_is_bounded() -> None:
    assert await printed("sh", "-c", "head -c 65536 /dev/zero | tr '\\0' x") == "x" * 65536
    for script in ("head -c 65537 /dev/zero | tr '\\0' x", "cat /dev/zero"):
        with pytest.raises(Unavailable, match="more than 64 KiB"):
            await printed("sh", "-c", script)


@pytest.mark.parametrize("waits", ["wait", "exec >&-; wait"], ids=["silent", "closed"])
async def test_time_is_bounded_and_all_of_it_ends(tmp_path: Path, waits: str) -> None:
    # given a program that ignores what can be ignored, with a child of its own
    pids = tmp_path / "pids"
    script = f"trap '' TERM INT HUP; sleep 60 & echo $$ >>{pids}; echo $! >>{pids}; {waits}"
    # when its time is over
    with pytest.raises(Unavailable, match=r"sh did not end within 0\.3 s"):
        await printed("sh", "-c", script, by=source(timeout="300ms"))
    # then neither is there any more, and the program itself was reaped
    leader, child = await told(pids, 2)
    await gone(leader, child)
    assert not is_child(leader)


async def test_what_it_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    before = time.monotonic()
    assert await printed("sh", "-c", f"sleep 60 & echo $! >{pids}; echo the-value") == "the-value"
    assert time.monotonic() - before < 5
    await gone(*await told(pids))


async def test_nothing_is_lost_that_it_wrote_at_its_very_end() -> None:
    # Its child holds the pipe, so that only its own end tells that there is no more.
    script = "sleep 60 & head -c 60000 /dev/zero | tr '\\0' x"
    values = await asyncio.gather(*(printed("sh", "-c", script) for _ in range(20)))
    assert {len(value or "") for value in values} == {60000}


async def test_who_leaves_ends_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    task = asyncio.create_task(printed("sh", "-c", f"sleep 60 & echo $$ >>{pids}; echo $! >>{pids}; wait"))
    leader, child = await told(pids, 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(leader, child)


async def test_a_value_stays_one_argument() -> None:
    run = ("printf", "%s|", "{identity} $(id)", "--team={claims.team}", "{tool};{invocation}", "{claims.n}", "{other}")
    assert await printed(*run) == "alice $(id)|--team=-rf|t/x;inv-1|7|{other}|"


@pytest.mark.parametrize(
    "text", ["{claims.team}", "{claims.nul}", "x{claims.half}", "x{claims.none}", "{claims.absent}"]
)
async def test_a_value_that_is_no_argument_starts_nothing(tmp_path: Path, text: str) -> None:
    ran = tmp_path / "ran"
    with pytest.raises(Unavailable):
        await printed("sh", "-c", f"echo $$ >{ran}", "sh", text)
    assert not was_written(ran)


@pytest.mark.parametrize(
    "run",
    [
        [],
        [""],
        ["-x"],
        ["{identity}"],
        ["./helper"],
        ["bin/helper"],
        ["op", "-{identity}"],
        ["op", "--{claims.x}=1"],
        ["op", "{arguments.x}"],
        ["op", "a\0b"],
        "op read",
    ],
)
def test_what_cannot_be_is_refused_when_it_is_read(run: object) -> None:
    with pytest.raises(ValidationError):
        Keys.model_validate({"run": run})


@pytest.mark.parametrize("where", [{"timeout": "10s"}, {"timeout": "0s"}, {"env": {"A=B": "x"}}, {"env": {"A": "x\0"}}])
def test_a_source_that_cannot_be_is_refused(where: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        Where.model_validate(where)
