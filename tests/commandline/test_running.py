"""What a program gets, and that nothing is left of it however its call ends."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shim.errors import Refusal, ResultTooLarge, UpstreamTimeout, UpstreamUnavailable
from shim.model import JsonObject
from shim.upstream.config import UpstreamBlock
from shim.upstream.folders import remove
from tests.commandline.given import RELAYS, alive, block, content, held, left, script
from tests.upstream.support import Heard, running


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary things: in the end there is nothing in it, and nobody whose home was there."""
    found = tmp_path / "base"
    found.mkdir()
    monkeypatch.setenv("TMPDIR", str(found))
    yield found
    assert alive(found) == []
    assert list(found.iterdir()) == []


LOOK = """
env | grep -v '^_=\\|^PWD=\\|^SHLVL=\\|^OLDPWD='
echo "cwd $(pwd) $(stat -c %a .) $(ls -A | wc -l)"
echo "home $(stat -c %a $HOME) $(ls -A $HOME | wc -l)"
echo "key $(stat -c %a $KEY) $(cat $KEY)"
echo "doc $(stat -c %a $1) $(cat $1)"
echo "open $(ls /proc/self/fd | wc -l)"
(: </dev/tty) 2>/dev/null && echo terminal
echo "session $(ps -o sid= -p $$) $$"
"""


async def test_it_gets_what_is_written_and_nothing_more(tmp_path: Path, base: Path) -> None:
    tool = {"run": ["--", "{doc}"], "input": {"doc": {"type": "string", "maxLength": 99, "as": "file"}}}
    look = script(tmp_path, f"shift\n{LOOK}")
    upstream = block(look, tool, env={"A": "b c"}, files={"KEY": "k3y"})
    async with running({"u": upstream}) as run:
        (text,) = content((await run.call("u", "t", {"doc": "héllo"})).result)
    lines = str(text).splitlines()
    (root,) = {line.partition("/1/home")[0] for line in lines if line.startswith("HOME=")}
    folder = f"{root.removeprefix('HOME=')}/1"
    assert folder.startswith(str(base))
    expected = {"A=b c", f"HOME={folder}/home", f"KEY={folder}/files/KEY", "LANG=C.UTF-8", "PATH=/usr/bin:/bin"}
    assert set(lines[:5]) == expected
    # `ls` has its own descriptor of the folder that it lists, besides the three.
    assert lines[5:10] == [f"cwd {folder}/work 700 0", "home 700 0", "key 600 k3y", "doc 600 héllo", "open 4"]
    session, pid = lines[10].split()[1:]
    assert session == pid
    assert len(lines) == 11


async def test_a_program_reads_its_stdin_to_the_end_and_no_terminal(tmp_path: Path, base: Path) -> None:
    asks = script(tmp_path, "cat; read -r answer </dev/tty || echo ' nobody'", "asks")
    blocks = {
        "text": block("cat", {"run": [], "stdin": "<{x}>", "input": {"x": {"type": "string", "maxLength": 99}}}),
        "json": block(
            "cat", {"run": [], "stdin": {"json": "{d}"}, "input": {"d": {"type": "object"}}, "output": "json"}
        ),
        "asks": block(asks, {"run": []}),
    }
    async with running(blocks) as run:
        assert content((await run.call("text", "t", {"x": "$(id)"})).result) == ["<$(id)>"]
        document = {"a": [1, None, "\n"]}
        reply = await run.call("json", "t", {"d": document})
        assert reply.result is not None
        assert reply.result["structuredContent"] == document
        assert content((await run.call("asks", "t")).result) == [" nobody\n"]


FLOOD = "exec yes"
FOREVER = "sleep 1000 & sleep 1000"
STUBBORN = "trap '' TERM INT HUP; sleep 1000; sleep 1000; sleep 1000"
ASTRAY = "setsid sleep 1000 & sleep 1000"
ORPHAN = "(env -i setsid sleep 1000 &); sleep 1000"


@pytest.mark.parametrize(
    "text",
    [FOREVER, STUBBORN, ASTRAY, ORPHAN, f"{RELAYS}; sleep 1000"],
    ids=["children", "stubborn", "astray", "orphan", "relays"],
)
async def test_one_that_never_ends_is_ended(tmp_path: Path, base: Path, text: str) -> None:
    with held(tmp_path / "held") as ended:
        upstream = block(script(tmp_path, f"exec 3>{tmp_path}/held; {text}"), {"run": [], "timeout": 0.4})
        async with running({"u": upstream}) as run:
            with pytest.raises(UpstreamTimeout):
                await run.call("u", "t")
            assert ended()
            assert left(base) == []


async def test_one_that_writes_without_end_is_ended_at_its_bound(tmp_path: Path, base: Path) -> None:
    upstream = block(script(tmp_path, FLOOD), {"run": []}, max_result=1_000_000)
    async with running({"u": upstream}) as run:
        with pytest.raises(ResultTooLarge):
            await run.call("u", "t")
        assert alive(base) == []
        assert left(base) == []


async def test_children_that_keep_the_pipe_delay_nothing(tmp_path: Path, base: Path) -> None:
    text = f"exec 3>{tmp_path}/held; (sleep 1000; echo late) & (env -i setsid sleep 1000 &); {RELAYS}; echo done"
    with held(tmp_path / "held") as ended:
        async with running({"u": block(script(tmp_path, text, "keeps"), {"run": []})}) as run:
            before = time.monotonic()
            assert content((await run.call("u", "t")).result) == ["done\n"]
            assert time.monotonic() - before < 5
            assert ended()


async def test_a_cancelled_call_leaves_nothing(tmp_path: Path, base: Path) -> None:
    mark = tmp_path / "began"
    upstream = block(script(tmp_path, f"touch {mark}; {FOREVER}"), {"run": []})
    async with running({"u": upstream}) as run:
        call = asyncio.ensure_future(run.call("u", "t"))
        while not mark.exists():  # noqa: ASYNC110 (another process makes it)
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert alive(base) == []
        assert left(base) == []


async def test_what_it_makes_goes_whatever_its_rights(tmp_path: Path, base: Path) -> None:
    makes = script(
        tmp_path, "mkdir -p a/b $HOME/.config; touch a/b/c; ln -s / a/root; chmod 0 a/b a; echo done", "makes"
    )
    async with running({"u": block(makes, {"run": []})}) as run:
        assert content((await run.call("u", "t")).result) == ["done\n"]
        assert left(base) == []


def test_a_folder_goes_however_deep_it_is(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "link").symlink_to(tmp_path / "keep")
    at = os.open(tmp_path / "gone", os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("d", dir_fd=at)
        os.symlink("/", "root", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    remove(tmp_path / "gone")
    assert [path.name for path in tmp_path.iterdir()] == ["keep"]


async def test_no_more_run_at_once_than_the_pool_has(tmp_path: Path, base: Path) -> None:
    counts = script(tmp_path, f"mkdir {tmp_path}/one || echo two at once; sleep 0.05; rmdir {tmp_path}/one", "counts")
    upstream = block(counts, {"run": []}, pool={"max": 1})
    async with running({"u": upstream}) as run:
        replies = await asyncio.gather(*(run.call("u", "t", identity=who) for who in ("a", "b", "a", "b")))
    assert [content(reply.result) for reply in replies] == [["(no output)"]] * 4


async def test_a_program_that_became_another_is_not_started(tmp_path: Path, base: Path) -> None:
    script(tmp_path, "echo good", "good")
    script(tmp_path, "echo evil", "evil")
    link = tmp_path / "link"
    link.symlink_to("good")
    async with running({"u": block(str(link), {"run": []})}) as run:
        assert content((await run.call("u", "t")).result) == ["good\n"]
        link.unlink()
        link.symlink_to("evil")
        with pytest.raises(UpstreamUnavailable, match="another one than when the configuration was read"):
            await run.call("u", "t")


async def test_progress_comes_from_the_lines_of_stderr(tmp_path: Path, base: Path) -> None:
    slow = "for n in 1 2 3; do printf 'step %s\\033[1m\\r' $n >&2; sleep 0.25; done; echo done"
    upstream = block(script(tmp_path, slow), {"run": [], "progress": "stderr", "timeout": 0.6})
    heard = Heard()
    async with running({"u": upstream}) as run:
        reply = await run.call("u", "t", meta={"progressToken": 7}, heard=heard)
    # It took longer than its timeout, which each of them starts anew.
    assert content(reply.result) == ["done\n"]
    assert [one["message"] for one in heard.progressed] == ["step 1", "step 2", "step 3"]
    assert [one["progress"] for one in heard.progressed] == [1, 2, 3]


async def test_a_failure_is_told_with_its_last_words(tmp_path: Path, base: Path) -> None:
    fails = script(tmp_path, "echo partial; seq 2000 >&2; printf 'no \\033[31mway\\n' >&2; exit 3", "fails")
    blocks = {"u": block(fails, {"run": []}), "ok": block(fails, {"run": [], "ok": [0, 3]})}
    async with running(blocks) as run:
        reply = await run.call("u", "t")
        assert reply.result is not None
        assert reply.result["isError"] is True
        first, second = map(str, content(reply.result))
        assert first.startswith(f"{Path(fails).name} ended with exit code 3.\n…")
        assert first.endswith("\n1999\n2000\nno way")
        assert len(first) < 4200
        assert second == "partial\n"
        assert content((await run.call("ok", "t")).result) == ["partial\n"]


async def test_arguments_are_judged_once_more_when_all_is_put_in(tmp_path: Path, base: Path) -> None:
    mark = tmp_path / "ran"
    touches = script(tmp_path, f"touch {mark}", "touches")
    tool = {"run": ["a", "{x}"], "input": {"x": {"type": "string", "pattern": "[a-z-]+"}}}
    async with running({"u": block(touches, tool)}) as run:
        bad: list[JsonObject] = [{"x": "-rf"}, {"x": "A"}, {"x": "a\n"}, {"x": "\ud800"}, {"y": "a"}, {}, {"x": 1}]
        for arguments in bad:
            with pytest.raises(Refusal) as refusal:
                await run.call("u", "t", arguments)
            assert refusal.value.reason.value == "invalid-arguments"
        assert not mark.exists()
        assert left(base) == []


async def test_the_hidden_part_is_in_the_digest(tmp_path: Path, base: Path) -> None:
    one = script(tmp_path, "echo one", "one")
    two = script(tmp_path, "echo two", "two")

    def changed(program: str = one, run: tuple[str, ...] = ("a",), **keys: object) -> UpstreamBlock:
        return block(program, {"run": run}, **keys)

    blocks = {
        "base": changed(),
        "again": changed(),
        "value": changed(env={"A": "b"}),
        "run": changed(run=("b",)),
        "program": changed(two),
        "args": changed(args=("x",)),
        "files": changed(files={"K": "v"}),
        "cwd": changed(cwd="/"),
    }
    async with running(blocks) as run:
        definitions = {name: json.dumps(run.offer(name).tools, sort_keys=True) for name in blocks}
    assert definitions["base"] == definitions["again"]
    assert len(set(definitions.values())) == len(blocks) - 1
    assert one not in "".join(definitions.values())
