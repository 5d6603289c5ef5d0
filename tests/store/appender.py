"""A process that appends: `python -m tests.store.appender PATH INSTANCE COUNT WAITERS [ACKS]`.

Says `ready`, waits for a line, appends, and says the longest wait in seconds. With ACKS, writes each acknowledged
name to that file, a line each, unbuffered.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from shim.store.sqlite import SqliteStore
from tests.store.units import Add


async def main() -> None:
    path, instance, count, waiters = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    acks = os.open(sys.argv[5], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if len(sys.argv) > 5 else None
    longest = 0.0
    async with SqliteStore.open(path, instance, timeout=30.0) as store:
        print("ready", flush=True)
        sys.stdin.readline()

        async def append(waiter: int) -> None:
            nonlocal longest
            for number in range(count):
                name = f"{instance}-{waiter}-{number}"
                began = time.perf_counter()
                await store.commit(Add(name))
                longest = max(longest, time.perf_counter() - began)
                if acks is not None:
                    os.write(acks, f"{name}\n".encode())

        await asyncio.gather(*(append(waiter) for waiter in range(waiters)))
    print(longest, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
