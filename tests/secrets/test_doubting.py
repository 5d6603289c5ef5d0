"""A client that leaves while what its upstream did not accept is put aside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import anyio
import pytest

from shim.invocations import Invocations
from shim.secrets import config
from shim.secrets.source import Issued, Purpose
from shim.upstream.failures import NotAccepted
from shim.wanting import Wanting
from tests.secrets.lending import NEED, Keys, Lender, calling, known, lending, opened


@dataclass
class Slow(Lender):
    """`doubted`: what happened to a doubt that takes as long as a vault does."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    doubted: int = 0

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        return replace(await super().issue(secret, fields, purpose), doubt=self._doubt)

    async def _doubt(self) -> None:
        self.began.set()
        await self.may_end.wait()
        self.doubted += 1


async def test_the_call_goes_on_to_its_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(config, "KINDS", known(slow))
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, _):
        reached = False

        async def call() -> None:
            nonlocal reached
            async with broker.leased([NEED], *calling()) as leases:
                await leases.take()
                await Wanting(cast("Invocations", None), broker).look(NotAccepted("up"), leases)
                # Where the outcome is written.
                reached = True

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await slow.began.wait()
            group.cancel_scope.cancel()
            slow.may_end.set()
        assert reached
        assert slow.doubted == 1
        assert slow.live == {}
