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

from shim.upstream.child import Child
from shim.upstream.folders import Folders
from shim.upstream.guarding import Guards
from shim.upstream.program import CannotStart, Program
from tests.commandline.given import guards_of, held, left, script

PATH = {"PATH": "/usr/bin:/bin"}


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


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_guards_are_used_again(tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
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


async def test_sigterm_comes_first(tmp_path: Path) -> None:
    program = script(tmp_path, f"trap 'touch {tmp_path}/told; exit 4' TERM; echo ready; while :; do sleep 0.1; done")
    async with guarding(tmp_path) as guards:
        run = await begun(guards, f"exec {program}")
        assert await run.output.read() == b"ready\n"
        await run.stop()
        assert run.exited.result() == 4
        assert (tmp_path / "told").exists()
