"""Functions in their process: what they print, raise, ask for and are told, and that the process ends with them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import venv
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from shim.errors import OutcomeUnknown, UpstreamUnavailable
from shim.model import Json
from shim.upstream.config import UpstreamBlock
from shim.upstream.definitions import HIDDEN
from shim.upstream.failures import Unfitting
from tests.secrets.asking import broker
from tests.upstream.support import Heard, running, text

TOOLS = Path(__file__).parent / "tools"


def sums(*names: str, **keys: object) -> UpstreamBlock:
    functions = [f"sums:{name}" for name in names]
    return UpstreamBlock.model_validate({"python": functions, "cwd": str(TOOLS), **keys})


async def until(condition: Callable[[], bool], within: float = 10.0) -> None:
    """Poll what another process does: nothing tells of it."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 (see above)
            await asyncio.sleep(0.02)


def written(mark: Path) -> str:
    return mark.read_text() if mark.exists() else ""


def alive(pid: int) -> bool:
    """Whether a process is there that has not ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def group(leader: int) -> set[int]:
    """Every live process in the group of this one."""
    found = set()
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == leader and state != "Z":
                found.add(int(entry.name))
    return found


def structured(run: object) -> Json:
    result = getattr(run, "result", None)
    assert result is not None
    assert not result.get("isError"), result
    return result["structuredContent"]


async def test_what_functions_print_and_raise_is_no_part_of_the_conversation(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    names = ("echo", "fails", "leaves", "lies", "add", "unspeakable", "unspeakable_later")
    async with running({"up": sums(*names, inject={"db": "literal-canary"})}) as run:
        reply = await run.call("up", "echo", {"point": {"x": 1}, "colour": "blue"})
        assert structured(reply)["colour"] == "blue"
        failed = await run.call("up", "fails", {"text": "rows"})
        assert failed.result is not None
        assert failed.result["isError"]
        assert text(failed) == "LookupError: no rows in [hidden]"
        assert text(await run.call("up", "leaves")) == "SystemExit: 3"
        # Whoever raised that has an answer, and the others still do.
        assert text(await run.call("up", "unspeakable")) == "Unspeakable"
        assert text(await run.call("up", "unspeakable_later")) == "Unspeakable"
        assert text(await run.call("up", "lies")).startswith("The function ran, but its result is not what its return")
        with pytest.raises(Unfitting, match="These arguments do not fit: `a`: "):
            await run.call("up", "add", {"a": "5"})
        assert structured(await run.call("up", "add", {"a": 5})) == {"result": 7}
        await until(lambda: "in fails" in caplog.text)
    assert "printed by a function" in caplog.text
    assert "written by a function" in caplog.text
    assert "literal-canary" not in caplog.text


async def test_a_function_that_asks_is_told_of_its_call_and_tells_how_far_it_is() -> None:
    async with running({"up": sums("whoami", "counts", timeout="1500ms")}) as run:
        told = await run.call("up", "whoami", meta={"io.github.mcp-shim/call": {"identity": "mallory"}})
        assert structured(told) == {"identity": "alice", "run": "run", "invocation": "inv-whoami", "db": "4"}
        heard = Heard()
        # Longer than its timeout, which starts anew with all that it tells.
        reply = await run.call(
            "up", "counts", {"to": 8, "pause": 0.25}, meta={"progressToken": 1, "x.example/kept": 1}, heard=heard
        )
        assert structured(reply) == {"result": 8}
        assert [one["progress"] for one in heard.progressed] == list(range(1, 9))
        assert (heard.progressed[-1]["total"], heard.progressed[-1]["message"]) == (8, "step 8")


async def test_secrets_fill_what_no_model_sees(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    secrets = broker({"key": {"source": "env", "name": "KEY"}}, {"KEY": "canary-value-1"})
    filled = "db://u:\0key\0@host"
    async with running({"up": sums("whoami", "fails", inject={"db": filled})}, broker=secrets) as run:
        offer = run.offer("up").tools
        assert [*offer[0]["inputSchema"]["properties"]] == []
        assert structured(await run.call("up", "whoami"))["db"] == str(len("db://u:canary-value-1@host"))
        assert text(await run.call("up", "fails", {"text": "x"})) == "LookupError: no x in [hidden]"
        await until(lambda: "in fails" in caplog.text)
    assert "canary-value-1" not in caplog.text
    assert "canary-value-1" not in json.dumps(offer)


async def test_callers_do_not_learn_what_is_filled_in_where_it_does_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running({"up": sums("add", "fails", inject={"b": "canary-no-number", "db": "a-database"})}) as run:
        with pytest.raises(Unfitting) as refused:
            await run.call("up", "add", {"a": 1})
        assert str(refused.value) == "What whoever runs this server puts into calls of the tool is unfit."
        assert text(await run.call("up", "fails", {"text": "rows"})) == "LookupError: no rows in [hidden]"
        # Whoever that is can read more.
        await until(lambda: "add was not called, for what is put in does not fit: `b`: " in caplog.text)
    assert "canary-no-number" not in caplog.text


async def test_one_process_for_each_identity_and_for_all_where_they_share() -> None:
    blocks = {"own": sums("process"), "all": sums("process", isolation="shared")}
    async with running(blocks) as run:
        pids = [
            structured(await run.call(upstream, "process", identity=who))["result"]
            for upstream in blocks
            for who in ("alice", "bob", "alice")
        ]
    assert pids[0] == pids[2] != pids[1]
    assert pids[3] == pids[4] == pids[5]


async def test_a_function_that_heeds_its_cancellation_ends_and_its_process_goes_on(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with running({"up": sums("heeds", "sleeps", "process")}) as run:
        pid = structured(await run.call("up", "process"))["result"]
        call = asyncio.ensure_future(run.call("up", "heeds", {"mark": str(first)}))
        await until(lambda: written(first) == "begun")
        call.cancel()
        await until(lambda: written(first) == "cancelled True")
        call = asyncio.ensure_future(run.call("up", "sleeps", {"mark": str(second)}))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.3)
        await until(lambda: written(second) == "cancelled")
        assert structured(await run.call("up", "process"))["result"] == pid


async def test_a_function_that_does_not_ends_with_its_process_even_where_nothing_else_runs_there(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    async with running({"up": sums("hogs", "process")}) as run:
        call = asyncio.ensure_future(run.call("up", "hogs", {"mark": str(mark)}))
        await until(lambda: written(mark) != "")
        call.cancel()
        pid = int(written(mark))
        await until(lambda: not group(pid))
        assert structured(await run.call("up", "process"))["result"] != pid


async def test_it_ends_with_all_that_it_began_and_other_calls_there_go_on_until_then(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    async with running({"up": sums("stuck", "counts", "process")}) as run:
        stuck = asyncio.ensure_future(run.call("up", "stuck", {"mark": str(mark)}))
        await until(lambda: written(mark) != "")
        other = asyncio.ensure_future(run.call("up", "counts", {"to": 25, "pause": 0.1}))
        stuck.cancel()
        pid = int(written(mark))
        assert len(group(pid)) == 2
        # Found out after a moment: until then calls may still go there.
        while structured(await run.call("up", "process"))["result"] == pid:
            assert not other.done()
        assert alive(pid)
        assert structured(await other) == {"result": 25}
        await until(lambda: not group(pid))


async def test_a_process_that_dies_leaves_its_calls_unknown_and_the_next_finds_another(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with running({"up": sums("stuck", "process")}) as run:
        stuck = asyncio.ensure_future(run.call("up", "stuck", {"mark": str(mark)}))
        await until(lambda: written(mark) != "")
        os.kill(int(written(mark)), 9)
        with pytest.raises(OutcomeUnknown):
            await stuck
        assert structured(await run.call("up", "process"))["result"] != int(written(mark))


async def test_what_a_module_raises_gives_no_variable_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "raising.py").write_text("import os\nraise RuntimeError('no\\x1b ' + os.environ['KEY'])\n")
    block = {"python": ["raising:f"], "cwd": str(tmp_path), "env": {"KEY": "canary-value-2"}}
    async with running({"up": UpstreamBlock.model_validate(block)}) as run:
        error = str(run.upstreams.status()["up"].error)
    assert "raising cannot be imported: RuntimeError: no? [env:KEY]" in error
    assert "canary-value-2" not in caplog.text


async def test_what_cannot_be_served_is_the_state_of_the_upstream_with_the_reason() -> None:
    blocks = {
        "none": UpstreamBlock.model_validate({"python": ["no_such_module:f"]}),
        "odd": sums("add", "untyped", "opaque"),
        "unfilled": sums("add", inject={"db": "x"}),
        "well": sums("add", "marks"),
    }
    async with running(blocks) as run:
        status = run.upstreams.status()
        assert status["well"].state == "up"
        # Nothing could judge its arguments.
        assert [tool["name"] for tool in run.offer("well").tools] == ["add"]
        for name, why in (
            ("none", "there is no module no_such_module: it is looked for by "),
            ("odd", "its parameter a has no annotation"),
            ("odd", "parameter lock has no schema"),
            ("unfilled", "no function has a parameter db"),
        ):
            assert status[name].state != "up"
            assert why in str(status[name].error)
        with pytest.raises(UpstreamUnavailable) as refused:
            await run.call("odd", "add", {"a": 1})
        assert "annotation" not in str(refused.value)


async def test_code_that_is_not_what_the_catalog_was_read_from_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "changing.py"
    file.write_text("def f() -> int:\n    return 1\n")
    block = UpstreamBlock.model_validate({"python": ["changing:f"], "cwd": str(tmp_path)})
    async with running({"up": block}) as run:
        before = run.offer("up").tools[0]["_meta"][HIDDEN]
        assert structured(await run.call("up", "f")) == {"result": 1}
        file.write_text("def f() -> int:\n    return 200\n")
        # A process that has begun goes on with what it has; a new one has other code, and no call gets there yet.
        assert structured(await run.call("up", "f")) == {"result": 1}
        with pytest.raises(UpstreamUnavailable, match="has changed, and is being read again"):
            await run.call("up", "f", identity="bob")
        await run.until(lambda: run.offer("up").tools[0]["_meta"][HIDDEN] != before)
        assert structured(await run.call("up", "f", identity="bob")) == {"result": 200}
        assert structured(await run.call("up", "f")) == {"result": 200}


PYDANTIC = ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection")


def an_interpreter(folder: Path, *packages: str) -> tuple[str, Path]:
    """A virtual environment that has these of our packages and nothing of the shim; its modules' folder."""
    venv.create(folder, symlinks=True)
    modules = next(folder.glob("lib/python*/site-packages"))
    ours = [Path(path) for path in sys.path if path.endswith("site-packages")]
    for name in packages:
        found = next(one / part for one in ours for part in (name, f"{name}.py") if (one / part).exists())
        (modules / found.name).symlink_to(found)
    return str(folder / "bin" / "python"), modules


async def test_another_interpreter_has_the_modules_and_needs_nothing_of_the_shim(tmp_path: Path) -> None:
    python, modules = an_interpreter(tmp_path / "own", *PYDANTIC, "docstring_parser")
    (modules / "only_there.py").write_text(
        "import sys\n"
        "from importlib.util import find_spec\n"
        "def where() -> list[str]:\n"
        "    return [sys.prefix, str(find_spec('shim'))]\n"
    )
    bare, _ = an_interpreter(tmp_path / "bare")
    blocks = {
        "own": UpstreamBlock.model_validate(
            {"python": ["only_there:where", "sums:add"], "interpreter": python, "cwd": str(TOOLS)}
        ),
        "bare": sums("add", interpreter=bare),
        "none": sums("add", interpreter="no-such-python"),
    }
    async with running(blocks) as run:
        assert structured(await run.call("own", "where")) == {"result": [str(tmp_path / "own"), "None"]}
        assert structured(await run.call("own", "add", {"a": 1})) == {"result": 3}
        status = run.upstreams.status()
        assert f"run {bare} -m pip install pydantic docstring-parser" in str(status["bare"].error)
        assert "no-such-python was not found" in str(status["none"].error)


async def test_functions_that_are_made_by_others_or_begin_processes_are_functions_too() -> None:
    async with running({"up": sums("decorated", "add_ten", "in_processes")}) as run:
        assert structured(await run.call("up", "decorated", {"a": 1})) == {"result": 2}
        assert structured(await run.call("up", "add_ten", {"b": 5})) == {"result": 15}
        assert structured(await run.call("up", "in_processes", {"values": [1, 2]})) == {"result": [3, 4]}


async def test_forty_calls_at_once_are_all_answered() -> None:
    async with running({"up": sums("add", "counts")}) as run:
        adding = [run.call("up", "add", {"a": number}) for number in range(40)]
        counting = [run.call("up", "counts", {"to": 3, "pause": 0.01}) for _ in range(40)]
        replies = await asyncio.gather(*adding, *counting)
    assert [structured(one)["result"] for one in replies] == [number + 2 for number in range(40)] + [3] * 40
