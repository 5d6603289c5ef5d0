"""A lease that somebody ends from another process is handed to nobody any more."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shim.errors import SecretUnavailable
from shim.secrets import config, noticing
from shim.store.sqlite import SqliteStore
from shim.store.tx import LeaseRow, Tx
from tests.secrets.lending import NEED, Lender, calling, known, lending, opened
from tests.secrets.test_issuing import events, until


class Ended:
    """What another process does to every row, with an event as it is written for each."""

    def apply(self, tx: Tx) -> list[LeaseRow]:
        rows = tx.live_leases()
        for row in rows:
            tx.end_lease(row.lease, "2026-01-01T00:00:00.000000Z")
            tx.append("lease.revoked", {"lease": row.lease}, row.invocation, datetime.now(UTC))
        return rows


class Intent:
    """What a call has on the record before it asks for a lease."""

    def apply(self, tx: Tx) -> None:
        tx.append("intent", {"identity": "alice"}, "i2", datetime.now(UTC))


@pytest.fixture
def lender(monkeypatch: pytest.MonkeyPatch) -> Lender:
    made = Lender()
    kinds = known(made)
    monkeypatch.setattr(config, "KINDS", kinds)
    return made


async def elsewhere(tmp_path: Path) -> None:
    async with opened(tmp_path, "other") as other:
        assert await other.commit(Ended())


async def test_a_call_that_is_recorded_after_it_was_revoked_gets_another_at_once(
    tmp_path: Path, lender: Lender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given that nothing looks from time to time
    monkeypatch.setattr(noticing, "_EVERY", 3600.0)
    forgotten: list[bytes] = []
    async with opened(tmp_path, "one") as store, lending(store, key={"scope": "identity"}) as (broker, issuer):
        issuer.forget = forgotten.append

        async def value() -> str:
            await store.commit(Intent())
            async with broker.leased([NEED], *calling()) as leases:
                return (await leases.take()).values["key"]

        first = await value()
        assert await value() == first
        # when
        await elsewhere(tmp_path)
        # then
        others = await asyncio.gather(*(value() for _ in range(8)))
        assert first not in others
        assert len(set(others)) == 1
        assert len(forgotten) == 1
        # what it has of its own for it is given up too, and said once
        assert lender.taken_back == [(first.removeprefix("value-of-"), False)]
        assert len([kind for kind, _ in events(tmp_path) if kind == "lease.revoked"]) == 1


async def test_what_has_it_ends_though_nobody_calls(
    tmp_path: Path, lender: Lender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noticing, "_EVERY", 0.05)
    forgotten: list[bytes] = []
    async with opened(tmp_path, "one") as store, lending(store, key={"scope": "identity"}) as (broker, issuer):
        issuer.forget = forgotten.append
        async with broker.leased([NEED], *calling()) as leases:
            leased = await leases.take()
            await elsewhere(tmp_path)
            await until(lambda: forgotten)
        assert forgotten == [leased.fingerprint]


async def test_one_that_is_revoked_while_it_is_asked_for_is_given_back_and_not_used(
    tmp_path: Path, lender: Lender
) -> None:
    lender.may_go_on = asyncio.Event()
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, _):
        async with broker.leased([NEED], *calling()) as leases:
            taking = asyncio.ensure_future(leases.take())
            await until(lambda: lender.live)
            await elsewhere(tmp_path)
            lender.may_go_on.set()
            with pytest.raises(SecretUnavailable, match="secret key"):
                await taking
        assert lender.live == {}
        assert await store.commit(Ended()) == []


async def test_no_shared_lease_is_used_while_it_cannot_be_known_whether_it_ended(
    tmp_path: Path, lender: Lender, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={"scope": "identity"}) as (broker, _):

        async def take() -> None:
            async with broker.leased([NEED], *calling()) as leases:
                await leases.take()

        await take()
        await elsewhere(tmp_path)
        await store.commit(Intent())
        # when another holds the store's lock for longer than anything waits
        monkeypatch.setattr(store._writer, "_timeout", 0.2)
        held = SqliteStore.open(tmp_path / "shim.db", "third")
        async with held as third:
            await third.commit(Intent())
            assert third._writer._lock.acquire(lambda: True)
            try:
                with pytest.raises(SecretUnavailable):
                    await take()
            finally:
                third._writer._lock.release()
        await take()
        assert lender.lent == 2
