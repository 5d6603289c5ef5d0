"""P2 under power cuts: what was acknowledged is on the record, and the record is whole."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from shim.record.checkpoints import load_key
from shim.record.verify import verify_store
from shim.store.reader import Reader
from shim.store.sqlite import SqliteStore
from tests.store import power


async def cut_power(folder: Path, lib: Path, times: int, seed: int) -> None:
    root, log, key = folder / "disk", folder / "log", folder / "key"
    root.mkdir()
    load_key(key)
    command = [sys.executable, "-m", "tests.store.cut_target", str(root), str(key)]
    subprocess.run(command, env=power.environment(lib, root, log), check=True, timeout=60)  # noqa: ASYNC221
    ops = power.read_log(log)
    ready = next(index for index, op in enumerate(ops) if op.path.endswith("/acks"))
    chance = random.Random(seed)
    acknowledged_last = 0
    for number in range(times):
        instant = chance.randrange(ready, len(ops)) if number else len(ops)
        acknowledged = {op.data.decode().strip() for op in ops[:instant] if op.path.endswith("/acks")} - {"ready"}
        after = folder / f"after-{number}"
        after.mkdir()
        for path, content in power.after_cut(ops[:instant], chance).items():
            if not path.endswith("-shm"):
                (after / Path(path).name).write_bytes(content)
        await check(after / "shim.db", key, acknowledged)
        acknowledged_last = max(acknowledged_last, len(acknowledged))
    assert acknowledged_last == 360


async def check(path: Path, key: Path, acknowledged: set[str]) -> None:
    async with SqliteStore.open(path, "after"):
        pass
    with Reader(path) as reader:
        verdict = verify_store(reader, load_key(key).public_key())
        assert verdict.ok, verdict
        found = {json.loads(event.text)["body"].get("name") for event in reader.events()}
    assert acknowledged <= found


async def test_what_was_acknowledged_survives_power_cuts(tmp_path: Path, disk_library: Path) -> None:
    await cut_power(tmp_path, disk_library, times=15, seed=3)


@pytest.mark.soak
async def test_what_was_acknowledged_survives_hundreds_of_power_cuts(tmp_path: Path, disk_library: Path) -> None:
    await cut_power(tmp_path, disk_library, times=400, seed=4)
