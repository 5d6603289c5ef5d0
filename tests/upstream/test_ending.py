"""Nothing is left behind: not at a stop, not after a kill, and no task either."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from shim.errors import OutcomeUnknown, UpstreamUnavailable
from tests.upstream.support import HERE, running, stdio, text
from tests.upstream.web import serving

PARENT = """
import asyncio, json
from tests.upstream.support import running, stdio, text

async def main():
    async with running({"odd": stdio(), "deaf": stdio("hangs")}, settled=False) as run:
        near, away = [json.loads(text(await run.call("odd", "children", {"away": away}))) for away in (False, True)]
        print(json.dumps([*near, *away]), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


async def gone(pids: list[int], within: float = 15.0) -> list[int]:
    """Those of `pids` that are still there at the end of the time."""

    def watch() -> list[int]:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline and any(map(is_alive, pids)):
            time.sleep(0.02)
        return [pid for pid in pids if is_alive(pid)]

    return await asyncio.to_thread(watch)


async def test_leaving_ends_children_that_ignore_it_and_their_children() -> None:
    async with running({"odd": stdio()}) as run:
        pids = json.loads(text(await run.call("odd", "children")))
        assert len(pids) == 3
        assert all(map(is_alive, pids))
        began = time.monotonic()

    assert time.monotonic() - began < 5
    assert await gone(pids) == []


async def test_leaving_ends_what_moved_to_a_session_of_its_own() -> None:
    async with running({"odd": stdio()}) as run:
        pids = json.loads(text(await run.call("odd", "children", {"away": True})))
        assert {os.getsid(pid) for pid in pids} == set(pids)
    # Only Linux tells which processes are below another.
    assert await gone(pids, within=5) == [] or sys.platform != "linux"


async def test_leaving_ends_every_task_and_fails_what_still_waits() -> None:
    before = asyncio.all_tasks()
    async with serving("legacy", never=lambda request: None) as web:
        blocks = {
            "odd": stdio(),
            "hangs": stdio("hangs"),
            "none": stdio().model_copy(update={"command": ("nonesuch",)}),
            "web": stdio().model_copy(update={"command": None, "url": web.url}),
        }
        async with running(blocks, settled=False) as run:
            waiting = [
                asyncio.create_task(run.call("odd", "never")),
                asyncio.create_task(run.call("web", "never")),
            ]
            await web.until(lambda: web.asked("tools/call"))
            await run.call("odd", "echo")
        outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)

    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown, OutcomeUnknown]
    with pytest.raises(UpstreamUnavailable):
        await run.call("odd", "echo")
    leftover = {task for task in asyncio.all_tasks() - before if "Web.serve" not in repr(task)}
    assert leftover == set()


async def test_kill_9_of_the_parent_leaves_neither_child_nor_grandchild() -> None:
    # given a process that runs upstreams: one that has started children, one that hangs
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT), cwd=HERE.parent.parent, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = json.loads(await asyncio.wait_for(parent.stdout.readline(), 20))
    below = below_of(parent.pid)
    assert len(below) >= 8 or sys.platform != "linux"

    # when it is killed
    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    # then all it had started is gone, by itself
    assert await gone([*pids, *below]) == []


def below_of(pid: int) -> set[int]:
    """All that it has started and they have, by a look at every process (Linux); elsewhere none are known."""
    found: dict[int, set[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), set()).add(int(stat.parent.name))
    below, looked = found.get(pid, set()), {pid}
    while left := below - looked:
        looked |= left
        below = below.union(*(found.get(one, set()) for one in left))
    return below
