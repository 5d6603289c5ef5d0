"""P2: no call without a record, whenever the process dies.

A real `mcp-shim serve` under load is killed with `kill -9` at random instants, while it starts too, and started
again. The upstream keeps a ledger of its own, synced before it executes anything; callers remember what they were
answered. What the three say must fit.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal

import httpx2
import pytest

from shim.model import JsonObject
from tests.parts.odd import ROOT, odd_argv, read_ledger
from tests.promises.running import SHIM, START, environment, identity, run, serving, token, write_config
from tests.promises.wire import http

Kind = Literal["starting", "cold", "warm"]

CALLERS = 8
LOAD = 0.6
"""Seconds of load at most, before a kill."""
STARTING = 1.5
"""Seconds within which a kill may fall into the start."""


@dataclass
class Seen:
    """What the callers know: the ids they sent, and those that were answered."""

    ids: count[int] = field(default_factory=count)
    sent: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    first: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first answer of a life."""


def two_upstreams(folder: Path, ledger: Path) -> Path:
    """A shim in front of one server of each era, which share a ledger."""
    servers = "".join(
        f"  {era}:\n    command: {json.dumps(odd_argv(era, ledger=ledger))}\n    cwd: {ROOT}\n"
        for era in ("modern", "legacy")
    )
    grants = 'grants:\n  - {name: notes, to: [writer], allow: ["*/note"]}\n'
    text = f"version: 1\nstore: sqlite:shim.db\nupstreams:\n{servers}identities:\n{identity('writer')}{grants}"
    return write_config(folder, text)


async def call_until_it_dies(url: str, tool: str, seen: Seen) -> None:
    """Note after note, until the connection breaks."""
    with suppress(httpx2.TransportError):
        async with http(url, "modern", token=token("writer")) as caller:
            while True:
                note = f"note-{next(seen.ids)}"
                seen.sent.add(note)
                answer = await caller.request("tools/call", {"name": tool, "arguments": {"id": note}})
                if "result" in answer and not answer["result"].get("isError"):
                    assert answer["result"]["content"] == [{"type": "text", "text": note}]
                    seen.answered.add(note)
                    seen.first.set()


async def kill_under_load(config: Path, seen: Seen, after: float, *, warm: bool) -> None:
    """One life: callers at work from the first moment, the chain verified meanwhile, the end without warning.

    `warm`: the time until the end counts from the first answer, else from the first request.
    """
    seen.first.clear()
    async with serving(config) as shim, asyncio.TaskGroup() as group:
        for index in range(CALLERS):
            tool = ("modern__note", "legacy__note")[index % 2]
            group.create_task(call_until_it_dies(shim.url, tool, seen))
        group.create_task(verify(config))
        if warm:
            await asyncio.wait_for(seen.first.wait(), START)
        # No synchronisation but the instant itself, which is what is tried.
        await asyncio.sleep(after)
        shim.kill()
        await shim.process.wait()


async def kill_while_starting(config: Path, after: float) -> None:
    process = await asyncio.create_subprocess_exec(
        SHIM, "serve", "--config", str(config), "--listen", "127.0.0.1:0",
        stderr=asyncio.subprocess.DEVNULL, env=environment(config.parent),
    )  # fmt: skip
    await asyncio.sleep(after)
    process.kill()
    await process.wait()


async def verify(config: Path) -> None:
    code, out, err = await run(config, "log", "verify", "--json")
    assert (code, json.loads(out or "{}").get("ok")) == (0, True), out + err


async def exported(config: Path) -> list[JsonObject]:
    """All invocations, after one more start has settled what was left open, and a proper stop."""
    async with serving(config):
        pass
    code, out, err = await run(config, "log", "export", "--format", "jsonl", "--running")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


async def kill_many_times(folder: Path, kinds: Sequence[Kind], chance: random.Random) -> None:
    ledger = folder / "ledger"
    config, seen = two_upstreams(folder, ledger), Seen()
    for kind in kinds:
        if kind == "starting":
            await kill_while_starting(config, chance.uniform(0, STARTING))
        else:
            await kill_under_load(config, seen, chance.uniform(0, LOAD), warm=kind == "warm")
    rows = await exported(config)
    await verify(config)

    executed = [entry["arguments"]["id"] for entry in read_ledger(ledger)]
    status = {row["arguments"]["id"]: row["status"] for row in rows}
    print(
        f"{len(kinds)} kills: {len(seen.sent)} calls sent, {len(seen.answered)} answered, {len(executed)} executed; "
        f"on the record: {dict(Counter(status.values()))}"
    )
    assert len(rows) == len(status), "one call, one invocation"
    assert len(executed) == len(set(executed)), "nothing was sent to an upstream twice"
    assert set(executed) <= set(status), "what an upstream executed has an intent"
    assert {note: status.get(note) for note in seen.answered if status.get(note) != "ok"} == {}
    assert set(status.values()) <= {"ok", "unknown", "failed", "cancelled"}, "nothing is left running"
    assert seen.answered, "the load reached the upstreams"


async def test_a_kill_of_each_kind_leaves_nothing_off_the_record(tmp_path: Path) -> None:
    await kill_many_times(tmp_path, ("warm", "starting", "cold"), random.Random(20260728))


@pytest.mark.soak
async def test_two_hundred_kills_leave_nothing_off_the_record(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"\nseed {seed}")
    chance = random.Random(seed)
    await kill_many_times(tmp_path, chance.choices(("starting", "cold", "warm"), (1, 1, 4), k=200), chance)
