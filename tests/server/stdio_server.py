"""A shim over stdio with in-memory parts, as a process of its own: `python -m tests.server.stdio_server IDENTITY`."""

from __future__ import annotations

import asyncio
import signal
import sys

import anyio

from shim.model import Call, JsonObject, Listener, Reply
from shim.server.stdio import claimed, serve_stdio
from tests.server.doubles import MemoryRecord, Tokens, world
from tests.server.running import face_of, generation_of

MAX_LINE = 100_000


async def chatty(call: Call, params: JsonObject, listener: Listener) -> Reply:
    await listener.progress({"progressToken": "theirs", "progress": 1, "extra": None})
    await listener.log({"level": "error", "data": "bad"})
    print("what a library prints")
    return Reply({"content": [{"type": "odd", "x": 2**70, "n": None, "s": "\ud800"}]}, None, 1)


async def hangs(call: Call, params: JsonObject, listener: Listener) -> Reply:
    await anyio.sleep_forever()
    raise AssertionError


async def main(name: str) -> None:
    made = world()
    made.upstreams.behaviours.update({"up/echo": chatty, "up/slow": hangs})
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with claimed() as (reading, writing):
        await serve_stdio(
            face_of(generation_of(made, Tokens(name))),
            lambda authenticator: authenticator.local(name),
            session="process-1",
            reading=reading,
            writing=writing,
            max_request=MAX_LINE,
            stop=stop,
            linger=0.5,
        )
    report(made.record)


def report(record: MemoryRecord) -> None:
    """On standard error: what is on the record."""
    for call, outcome in record.outcomes:
        print("outcome", call.tool, outcome.status.value, call.run, file=sys.stderr)
    for method, code in record.refused():
        print("refused", method, code, file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
