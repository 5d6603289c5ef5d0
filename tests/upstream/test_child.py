"""One child process, under the event loop that the shim runs on."""

from __future__ import annotations

import asyncio
import os

import pytest
import uvloop

from shim.upstream.child import Child, program
from shim.upstream.watchdog import Watchdog

CHILDREN = 40
"""Each is caught in the moment in question about one time in six."""


def test_a_child_that_ends_may_be_written_to_at_any_moment() -> None:
    async def main() -> None:
        watchdog = Watchdog()
        for _ in range(CHILDREN):
            child = await Child.start("odd", program(("/bin/sh", "-c", "exit"), {}, "/", os.environ), watchdog)
            try:
                # In one turn of the loop its pipe is found closed, in a later one that is told.
                while not child.exited.done():
                    child.write(b"{}\n")
                    await asyncio.sleep(0)
                with pytest.raises(BrokenPipeError):
                    await child.writable()
            finally:
                await child.stop(watchdog)
        await watchdog.stop()

    uvloop.run(main())
