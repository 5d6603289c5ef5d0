"""P7 under load: whatever is decided while configurations follow each other is decided by exactly one of them.

In both configurations the identity may call `echo` and may not call `note`, but each by another group: whoever mixed
the groups of one with the grants of the other would do the opposite.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from itertools import cycle

import pytest

from shim.model import JsonObject
from tests.parts.odd import read_ledger
from tests.promises import wire
from tests.promises.changing import Setting, known, odd, said, setting, until
from tests.promises.running import Running, run, serving, token

__all__ = ["known", "setting"]

CALLERS = 8


def texts(setting: Setting) -> tuple[str, str]:
    """The two configurations. The second has an upstream more."""
    setting.identities = {"ann": "g"}
    setting.grants = {"group:g": "odd/echo", "group:h": "odd/note", "ann": "more/echo"}
    first = setting.text().replace("more/echo", "odd/none")
    setting.upstreams.append(odd("more", setting.folder / "more.ledger"))
    setting.identities = {"ann": "h"}
    setting.grants = {"group:h": "odd/echo", "group:g": "odd/note", "ann": "more/echo"}
    return first, setting.text()


class Load:
    """Callers that never stop, and what they were answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = False
        self.allowed = 0
        self.wrong: list[JsonObject] = []

    async def caller(self, era: wire.Era) -> None:
        async with wire.http(self._url, era, token=token("ann")) as peer:
            while not self._over:
                answer = await peer.request("tools/call", {"name": "odd__echo", "arguments": {"n": self.allowed}})
                if answer.get("result", {}).get("structuredContent") is None:
                    self.wrong.append(answer)
                self.allowed += 1
                hidden = await peer.request("tools/call", {"name": "odd__note", "arguments": {"id": "x"}})
                if hidden.get("error", {}).get("message") != "Unknown tool: odd__note":
                    self.wrong.append(hidden)

    def stop(self) -> None:
        self._over = True


async def says(shim: Running, words: str, times: int) -> None:
    await until(lambda: len(said(shim, words)) >= times)


@pytest.mark.parametrize("flips", [10, pytest.param(400, marks=pytest.mark.soak)])
async def test_every_decision_is_that_of_one_configuration(flips: int, setting: Setting) -> None:
    both = texts(setting)
    setting.save(both[0])
    async with serving(setting.path) as shim:
        load = Load(shim.url)
        async with asyncio.TaskGroup() as group:
            for _, era in zip(range(CALLERS), cycle(["legacy", "modern"]), strict=False):
                group.create_task(load.caller("modern" if era == "modern" else "legacy"))
            await until(lambda: load.allowed > CALLERS)
            # when one follows the other, and now and then comes one that may never decide anything
            for number in range(1, flips + 1):
                if number % 5 == 0:
                    setting.save(both[0].replace("'group:h'", "'*'").replace("for-ann", "for-g"))
                    await says(shim, "is refused", number // 5)
                setting.save(both[number % 2])
                await says(shim, "is in force", number)
            load.stop()
        assert load.wrong == []
    # then each row is what the configuration that it names decides, by the groups that it names
    _, out, _ = await run(setting.path, "log", "list", "--identity", "ann", "--json")
    rows = [row for row in json.loads(out) if row["transport"] == "http"]
    assert len(rows) >= 2 * load.allowed - CALLERS
    assert {row["status"] for row in rows} == {"ok", "denied"}
    by_policy: dict[str, list[JsonObject]] = defaultdict(list)
    for row in rows:
        by_policy[row["policy"]].append(row)
    assert len(by_policy) == 2
    for policy, decided in by_policy.items():
        assert len({tuple(row["groups"]) for row in decided}) == 1
        calls = [{"identity": "ann", "tool": row["tool"].replace("__", "/"), "args": {}} for row in decided]
        lines = "".join(json.dumps(call) + "\n" for call in calls).encode()
        _, out, err = await run(setting.path, "explain", "--policy", policy, "--batch", "-", stdin=lines)
        found = [json.loads(line) for line in out.splitlines()]
        assert [(row["decision"], row["grant"]) for row in decided] == [
            (one["decision"], one["grant"]) for one in found
        ], err
    # and the upstream that did not change was never started anew
    assert len({row["pid"] for row in read_ledger(setting.ledger)}) == 1
    code, _, _ = await run(setting.path, "log", "verify")
    assert code == 0
