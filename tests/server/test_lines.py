"""Lines of an input: the same however the bytes arrive, and bounded."""

from __future__ import annotations

import asyncio
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from shim.server.stdio import lines

BOUND = 40


async def read_through_a_pipe(pieces: list[bytes]) -> list[bytes | None]:
    reading, writing = os.pipe()
    found: list[bytes | None] = []

    async def collect() -> None:
        found.extend([line async for line in lines(reading, BOUND)])

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(collect())
            for piece in pieces:
                os.write(writing, piece)
                await asyncio.sleep(0)
            os.close(writing)
    finally:
        os.close(reading)
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([b"a", b"\n", b"{}", b" ", b"\r\n", b"x" * 30, b"\xff"]), max_size=30))
def test_lines_do_not_depend_on_how_they_arrive(pieces: list[bytes]) -> None:
    found = asyncio.run(read_through_a_pipe(pieces))
    expected = [
        None if len(line) > BOUND else line
        for line in b"".join(pieces).split(b"\n")
        if line.strip() or len(line) > BOUND
    ]
    assert found == expected
