"""Closing the pipes of children closes nothing else, whatever threads open meanwhile."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
import uvloop

from shim.upstream.guarding import Guards
from shim.upstream.program import Program


def opening(stop: threading.Event, broken: list[OSError]) -> None:
    """Opens files and closes them, each its own."""
    while not stop.is_set():
        try:
            for _ in range(50):
                os.close(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            broken.append(error)


async def children(count: int) -> None:
    guards = Guards()
    what = Program(("/bin/true",), {"PATH": "/usr/bin:/bin"}, "/")

    async def one() -> None:
        child = await guards.start("true", what, str)
        await child.stop(grace=0)

    try:
        for _ in range(count):
            await asyncio.gather(*(one() for _ in range(16)))
    finally:
        await guards.stop()


@pytest.mark.soak
def test_files_of_other_threads_stay_open() -> None:
    stop, broken = threading.Event(), list[OSError]()
    threads = [threading.Thread(target=opening, args=(stop, broken)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        uvloop.run(children(40))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert broken == []
