"""The process whose power is cut: `python -m tests.store.cut_target ROOT KEY`. Ends at once after its last event.

Everything that it acknowledges is a line of ROOT/acks, written after the fact and in the disk's own order.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from shim.record.checkpoints import load_key
from shim.record.config import RecordBlock
from shim.record.keeper import Process, recording
from shim.store.sqlite import SqliteStore


async def main() -> None:
    root, key = Path(sys.argv[1]), load_key(Path(sys.argv[2]))
    acks = os.open(root / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    process = Process("host", os.getpid(), "0", "nobody")
    async with (
        SqliteStore.open(root / "shim.db", "cut", timeout=30) as store,
        recording(store, RecordBlock(), process, key, random=os.urandom, checkpoint_events=40) as record,
    ):
        os.write(acks, b"ready\n")

        async def append(waiter: int) -> None:
            for number in range(60):
                name = f"{waiter}-{number}"
                await record.event("test", {"name": name, "filling": "x" * (number * 20)})
                os.write(acks, f"{name}\n".encode())

        await asyncio.gather(*(append(waiter) for waiter in range(6)))
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
