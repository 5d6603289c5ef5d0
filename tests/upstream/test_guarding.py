"""What runs below a guard: how it starts, and that it ends, also when a guard does not do its part."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from shim.upstream import guard
from shim.upstream.child import Child
from shim.upstream.folders import Folders
from shim.upstream.guarding import Guards
from shim.upstream.program import CannotStart, Program
from tests.commandline.given import RELAYS, guards_of, held, left, script

PATH = {"PATH": "/usr/bin:/bin"}


LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
Run = Callable[[Coroutine[Any, Any, None]], None]


@asynccontextmanager
async def guarding(folder: Path) -> AsyncIterator[Guards]:
    guards = Guards()
    folders = Folders(str(folder), guards)
    folders.make()
    try:
        yield guards
    finally:
        await guards.stop()
        folders.close()
        assert left(folder) == []


async def begun(guards: Guards, text: str) -> Child:
    return await guards.start("sh", Program(("/bin/sh", "-c", text), PATH, "/"), str, lambda _: None)


async def said(run: Child) -> tuple[bytes, int]:
    """All that it writes when it is given no more to read, and its exit code."""
    run.input.close()
    text = b""
    while piece := await run.output.read():
        text += piece
    await asyncio.wait([run.exited])
    return text, run.exited.result()


async def until(is_so: Callable[[], bool]) -> bool:
    """Whether it is within 10 s. Nobody tells of processes that others have started."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while not is_so():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    return is_so()


@LOOPS
def test_guards_are_used_again(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with guarding(tmp_path) as guards:

            async def one(number: int) -> None:
                child = await begun(guards, f"echo {number}; cat; exit {number % 7}")
                assert await said(child) == (f"{number}\n".encode(), number % 7)
                await child.stop()

            for first in range(0, 120, 30):
                await asyncio.gather(*(one(number) for number in range(first, first + 30)))
            # Those that are too many end by themselves.
            assert await until(lambda: len(guards_of(os.getpid())) <= 1 + 16)

    run(main())


async def test_what_cannot_be_started_is_said(tmp_path: Path) -> None:
    folder, plain = tmp_path / "gone", tmp_path / "plain"
    plain.write_text("echo a shell would run this\n")
    plain.chmod(0o755)
    big = "x" * 200_000
    async with guarding(tmp_path) as guards:
        for words, cwd, why in (
            (("/bin/true",), str(folder), "No such file or directory"),
            ((str(plain),), "/", "Exec format error"),
            (("/bin/true", big), "/", "Argument list too long"),
        ):
            with pytest.raises(CannotStart, match=why):
                await guards.start("u", Program(words, PATH, cwd), str, lambda _: None)
        for word, env in (
            ("a\0b", PATH),
            ("\ud800", PATH),
            ("", {"A": "b\0LD_PRELOAD=evil"}),
            ("", {"A=B": "c"}),
            ("", {"": "a"}),
        ):
            with pytest.raises(CannotStart, match="no program can be given"):
                await guards.start("u", Program(("/bin/true", word), env, "/"), str, lambda _: None)
        assert await said(await begun(guards, "echo on")) == (b"on\n", 0)


async def test_a_program_that_kills_its_guard_ends_with_all_that_is_its(tmp_path: Path) -> None:
    with held(tmp_path / "held") as ended:
        async with guarding(tmp_path) as guards:
            text = f"exec 3>{tmp_path}/held; (env -i setsid sleep 1000 &); kill -9 $PPID; sleep 1000"
            run = await begun(guards, text)
            assert (await said(run))[1] == -signal.SIGKILL
            await run.stop()
            # By the process that the guard came from.
            assert await until(ended)
            assert await said(await begun(guards, "echo on")) == (b"on\n", 0)


async def test_another_is_started_when_the_process_that_guards_come_from_is_gone(tmp_path: Path) -> None:
    async with guarding(tmp_path) as guards:
        running = await begun(guards, "cat; echo more")
        os.kill(guards_of(os.getpid())[0], signal.SIGKILL)
        other = await begun(guards, "cat; echo on")
        assert guards_of(os.getpid())[1:]
        assert await said(other) == (b"on\n", 0)
        await other.stop()
        # One that ran meanwhile goes on, and ends as ever.
        assert await said(running) == (b"more\n", 0)
        await running.stop()


async def test_idle_guards_that_are_gone_are_not_waited_for(tmp_path: Path) -> None:
    async with guarding(tmp_path) as guards, AsyncExitStack() as runs:
        for _ in range(3):
            runs.push_async_callback((await begun(guards, "exit")).stop)
        await runs.aclose()
        for pid in guards_of(os.getpid())[1:]:
            os.kill(pid, signal.SIGKILL)
        assert await until(lambda: len(guards_of(os.getpid())) == 1)
        for _ in range(3):
            run = await begun(guards, "echo on")
            assert await said(run) == (b"on\n", 0)
            await run.stop()


async def test_what_a_program_wrote_before_its_end_is_read_however_slowly(tmp_path: Path) -> None:
    async with guarding(tmp_path) as guards:
        run = await begun(guards, "head -c 270000 /dev/zero; sleep 0.1; head -c 50000 /dev/zero")
        await asyncio.wait([run.exited])
        # Longer than one waits for what others write who still have its stdout.
        await asyncio.sleep(0.3)
        assert len((await said(run))[0]) == 320_000
        await run.stop()


async def test_sigterm_comes_first(tmp_path: Path) -> None:
    program = script(tmp_path, f"trap 'touch {tmp_path}/told; exit 4' TERM; echo ready; while :; do sleep 0.1; done")
    async with guarding(tmp_path) as guards:
        run = await begun(guards, f"exec {program}")
        assert await run.output.read() == b"ready\n"
        await run.stop()
        assert run.exited.result() == 4
        assert (tmp_path / "told").exists()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@LOOPS
def test_a_start_or_stop_that_is_cancelled_at_any_moment_leaves_nothing(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        troubles: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
        with held(tmp_path / "held") as ended:
            async with guarding(tmp_path) as guards:
                await (await begun(guards, "exit")).stop(0)
                before = descriptors()

                async def one() -> None:
                    text = f"exec 3>{tmp_path}/held; (env -i setsid sleep 1000 &); sleep 1000"
                    await (await begun(guards, text)).stop(0)

                for steps in [*range(20), *range(20, 1000, 35)]:
                    calls = [asyncio.ensure_future(one()) for _ in range(2)]
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    for call in calls:
                        call.cancel()
                    await asyncio.gather(*calls, return_exceptions=True)
                # Their sockets are all that is left, and are those of guards that wait.
                assert await until(lambda: descriptors() - before < 4), descriptors() - before
                assert ended()
        assert troubles == []

    run(main())


async def test_a_program_that_stops_its_guard_ends_with_all_that_is_its(tmp_path: Path) -> None:
    with held(tmp_path / "held") as ended:
        async with guarding(tmp_path) as guards:
            text = (
                f"exec 3>{tmp_path}/held; (env -i setsid sleep 1000 &); read line; kill -STOP $PPID; echo; sleep 1000"
            )
            run = await begun(guards, text)
            run.input.write(b"\n")
            await run.output.read()
            await run.stop(0)
            assert ended()


async def test_what_stops_the_process_that_guards_come_from_does_not_stop_their_ends(tmp_path: Path) -> None:
    async with guarding(tmp_path) as guards:
        await (await begun(guards, "exit")).stop()
        pids = guards_of(os.getpid())
        os.kill(pids[0], signal.SIGSTOP)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_guard_that_is_killed_while_it_is_told_what_to_start_is_replaced(tmp_path: Path) -> None:
    big = PATH | {f"V{number}": "x" * 100_000 for number in range(12)}
    async with guarding(tmp_path) as guards:
        await (await begun(guards, "exit")).stop()
        pid = guards_of(os.getpid())[1]
        os.kill(pid, signal.SIGSTOP)
        what = Program(("/bin/sh", "-c", "echo $V1 | wc -c"), big, "/")
        starting = asyncio.ensure_future(guards.start("u", what, str))
        for _ in range(500):
            await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        run = await starting
        assert await said(run) == (b"100001\n", 0)
        await run.stop()


async def test_many_can_be_started_at_once(tmp_path: Path) -> None:
    async with guarding(tmp_path) as guards:
        runs = await asyncio.gather(*(begun(guards, "exit") for _ in range(350)))
        await asyncio.gather(*(run.stop() for run in runs))


def altered(folder: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str) -> None:
    """Guards of a system that lacks something."""
    text = Path(guard.__file__).read_text()
    assert text.count(before) == 1
    (folder / "guard.py").write_text(text.replace(before, after))
    monkeypatch.setattr(guard, "__file__", str(folder / "guard.py"))


@pytest.mark.parametrize("then", ["read line", "sleep 1000"])
async def test_without_adoption_the_group_of_a_program_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    altered(tmp_path, monkeypatch, "_SUBREAPER = 36", "_SUBREAPER = -1")
    with held(tmp_path / "held") as ended:
        async with guarding(tmp_path) as guards:
            run = await begun(guards, f"exec 3>{tmp_path}/held; (trap '' TERM; echo; sleep 1000; sleep 1000) & {then}")
            assert await run.output.read() == b"\n"
            run.input.close()
            await run.stop(0.2)
            # Nobody here can wait for what is not below a process of ours any more.
            assert await until(ended)
            assert await said(await begun(guards, "echo on")) == (b"on\n", 0)


async def test_where_there_can_be_no_more_processes_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered(tmp_path, monkeypatch, "pid = os.fork()", "raise BlockingIOError")
    async with guarding(tmp_path) as guards:
        for _ in range(2):
            with pytest.raises(CannotStart, match="nothing guards its end"):
                await begun(guards, "exit")
        assert len(guards_of(os.getpid())) == 1


async def test_where_the_system_does_not_list_children_they_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered(tmp_path, monkeypatch, "/task/{me}/children", "/task/{me}/none")
    with held(tmp_path / "held") as ended:
        async with guarding(tmp_path) as guards:
            run = await begun(guards, f"exec 3>{tmp_path}/held; (env -i setsid sleep 1000 &); {RELAYS}; kill -9 $PPID")
            await said(run)
            await run.stop(0)
            assert ended()
