"""Several processes on one file: all there, one chain, nobody starved; and killed ones leave nothing half done."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.store.units import names


def start(path: Path, instance: str, count: int, waiters: int, acks: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.appender", str(path), instance, str(count), str(waiters)]
    if acks is not None:
        command.append(str(acks))
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def together(path: Path, processes: int, count: int, waiters: int, longest_allowed: float) -> None:
    running = [start(path, f"p{number}", count, waiters) for number in range(processes)]
    assert [read(process) for process in running] == ["ready"] * processes
    began = time.perf_counter()
    for process in running:
        go(process)
    waits = [float(read(process)) for process in running]
    took = time.perf_counter() - began
    assert [process.wait(30) for process in running] == [0] * processes
    found = names(path)
    wanted = {f"p{p}-{w}-{n}" for p in range(processes) for w in range(waiters) for n in range(count)}
    assert len(found) == len(wanted)
    assert set(found) == wanted
    print(
        f"\n{processes} processes, {len(found)} events, {len(found) / took:.0f}/s; longest wait of each, in ms:",
        end=" ",
    )
    print(*(f"{wait * 1000:.0f}" for wait in waits))
    assert max(waits) < longest_allowed


def test_eight_processes_make_one_chain(tmp_path: Path) -> None:
    together(tmp_path / "shim.db", processes=8, count=25, waiters=2, longest_allowed=10)


@pytest.mark.soak
def test_eight_processes_make_one_chain_and_none_starves(tmp_path: Path) -> None:
    together(tmp_path / "shim.db", processes=8, count=2000, waiters=4, longest_allowed=5)


def kill_repeatedly(folder: Path, times: int, seed: int) -> None:
    path, acks = folder / "shim.db", folder / "acks"
    chance = random.Random(seed)
    for number in range(times):
        process = start(path, f"k{number}", 100_000, 8, acks)
        assert read(process) == "ready"
        go(process)
        # A random instant is the point here; nothing waits for it.
        time.sleep(chance.uniform(0.005, 0.15))
        process.kill()
        process.wait(30)
        acknowledged = acks.read_text().splitlines() if acks.exists() else []
        found = set(names(path))
        assert set(acknowledged) <= found


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    kill_repeatedly(tmp_path, times=4, seed=1)


@pytest.mark.soak
def test_what_was_acknowledged_survives_two_hundred_kills(tmp_path: Path) -> None:
    kill_repeatedly(tmp_path, times=200, seed=2)
