"""One child process, under the event loop that the shim runs on."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest
import uvloop

from shim.upstream.guarding import Guards
from shim.upstream.program import program

CHILDREN = 40
"""Each is caught in the moment in question about one time in six."""


def test_a_child_that_ends_may_be_written_to_at_any_moment() -> None:
    async def main() -> None:
        guards = Guards()
        for _ in range(CHILDREN):
            child = await guards.start("odd", program(("/bin/sh", "-c", "exit"), {}, "/", os.environ), str)
            try:
                # In one turn of the loop its pipe is found closed, in a later one that is told.
                while not child.exited.done():
                    child.input.write(b"{}\n")
                    await asyncio.sleep(0)
                with pytest.raises(BrokenPipeError):
                    await child.input.writable()
            finally:
                await child.stop()
        await guards.stop()

    uvloop.run(main())


async def said_by(*command: str) -> bytes:
    """What a program writes to its stdout."""
    guards = Guards()
    child = await guards.start("odd", program(command, {}, "/", os.environ), str)
    said = b""
    try:
        while chunk := await child.output.read():
            said += chunk
    finally:
        await child.stop()
        await guards.stop()
    return said


def test_streams_can_be_opened_by_their_names() -> None:
    # Scripts around servers do so; on a socket it fails.
    script = "echo complaint >/dev/stderr && echo answer >/dev/stdout && : </dev/stdin && echo all"
    assert uvloop.run(said_by("/bin/sh", "-c", script)) == b"answer\nall\n"


OPEN = """
import json, os, stat
def look(fd):
    try:
        about = os.fstat(fd)
    except OSError:
        return None
    return [stat.S_ISFIFO(about.st_mode), about.st_ino]
print(json.dumps({fd: found for fd in range(1024) if (found := look(fd))}), flush=True)
"""


def test_nothing_but_its_three_streams_is_open_in_a_child() -> None:
    # given something that this process was told to hand on, as by whoever started it
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        opened = json.loads(uvloop.run(said_by(sys.executable, "-S", "-E", "-c", OPEN)))
    finally:
        os.close(reading)
        os.close(writing)

    # then a child has three pipes, each once, and nothing besides
    assert opened.keys() == {"0", "1", "2"}
    assert all(is_pipe for is_pipe, _ in opened.values())
    assert len({number for _, number in opened.values()}) == 3


def test_a_child_that_closes_its_stdin_is_known_for_that_at_once() -> None:
    async def main() -> None:
        guards = Guards()
        what = program(("/bin/sh", "-c", "exec 0<&-; exec sleep 60"), {}, "/", os.environ)
        child = await guards.start("odd", what, str)
        try:
            async with asyncio.timeout(10):
                await child.input.lost.wait()
            assert not child.exited.done()
            with pytest.raises(BrokenPipeError):
                await child.input.writable()
        finally:
            await child.stop()
            await guards.stop()

    uvloop.run(main())
