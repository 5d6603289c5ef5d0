"""A process that commits when told: `python -m tests.store.commander PATH TIMEOUT`; each line names an event."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from shim.errors import RecordUnavailable
from shim.store.sqlite import SqliteStore
from tests.store.units import Add


async def main() -> None:
    async with SqliteStore.open(Path(sys.argv[1]), "commander", timeout=float(sys.argv[2])) as store:
        print("ready", flush=True)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                print("ok", await store.commit(Add(line)), flush=True)
            except RecordUnavailable as error:
                print("refused", error, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
