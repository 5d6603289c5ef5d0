"""Leases: on the record before they are asked for, shared as far as their scope, and revoked however things end."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shim import jsontext
from shim.errors import SecretUnavailable
from shim.lending import Need
from shim.secrets import config
from shim.secrets.ending import Ending
from shim.secrets.ledger import Ledger, Sealing
from shim.secrets.source import Around
from shim.secrets.sources import Sources
from shim.store.reader import Reader
from shim.store.tx import LeaseRow, Tx
from tests.secrets.lending import DESK, NEED, Lender, calling, known, lending, opened


@pytest.fixture
def lender(monkeypatch: pytest.MonkeyPatch) -> Lender:
    made = Lender()
    kinds = known(made)
    monkeypatch.setattr(config, "KINDS", kinds)
    return made


def events(tmp_path: Path) -> list[tuple[str, str | None]]:
    """The events of leases: kind, and invocation."""
    with Reader(tmp_path / "shim.db") as reader:
        found = [jsontext.parse(event.text) for event in reader.events()]
    return [(event["kind"], event["invocation"]) for event in found if "lease." in event["kind"]]


class Rows:
    def apply(self, tx: Tx) -> list[LeaseRow]:
        return tx.live_leases()


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        # What is waited for is at the source or in the store; nothing there would wake us.
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_lease_of_a_call_lives_as_long_as_its_block_and_is_on_the_record(
    tmp_path: Path, lender: Lender
) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, _):
        async with broker.leased([NEED], *calling()) as leases:
            leased = await leases.take()
            (lease,) = leases.issued
            assert leased.values == {"key": f"value-of-{lease.id}"}
            assert not leased.long_lived
            assert list(lender.live) == [lease.id]
            assert [row.lease for row in await store.commit(Rows())] == [lease.id]
        assert lender.live == {}
        assert await store.commit(Rows()) == []
    assert events(tmp_path) == [("lease.asked", "i1"), ("lease.issued", "i1"), ("lease.revoked", "i1")]


async def test_reading_a_catalog_is_the_servers_own(tmp_path: Path, lender: Lender) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, _), broker.leased([NEED]) as leases:
        await leases.take()
        assert [purpose.identity for purpose in lender.live.values()] == [None]
    assert {kind for kind, _ in events(tmp_path)} == {
        "server.lease.asked",
        "server.lease.issued",
        "server.lease.revoked",
    }


async def test_callers_of_one_identity_share_a_wider_lease_and_others_do_not(tmp_path: Path, lender: Lender) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={"scope": "identity"}) as (broker, _):

        async def value(identity: str, run: str) -> str:
            async with broker.leased([NEED], *calling(identity, run)) as leases:
                return (await leases.take()).values["key"]

        same = await asyncio.gather(*(value("alice", f"r{number}") for number in range(20)))
        other = await value("bob", "r1")
        assert len(set(same)) == 1
        assert other not in same
        assert lender.lent == 2
        assert len(lender.live) == 2
    # The process stopped.
    assert lender.live == {}


async def test_a_lease_of_a_run_is_for_that_run_alone(tmp_path: Path, lender: Lender) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={"scope": "run"}) as (broker, _):
        for run in ("r1", "r1", "r2"):
            async with broker.leased([NEED], *calling("alice", run)) as leases:
                await leases.take()
        assert lender.lent == 2


async def test_no_lease_outlives_its_ttl_and_who_comes_after_gets_another(tmp_path: Path, lender: Lender) -> None:
    secret = {"scope": "identity", "ttl": "1500ms"}
    forgotten: list[bytes] = []
    async with opened(tmp_path, "one") as store, lending(store, key=secret) as (broker, issuer):
        issuer.forget = forgotten.append
        async with broker.leased([NEED], *calling()) as leases:
            first = await leases.take()
            await until(lambda: not lender.live)
        # What has these values serves nobody any more.
        assert forgotten == [first.fingerprint]
        async with broker.leased([NEED], *calling()) as leases:
            assert (await leases.take()).values != first.values


async def test_a_caller_that_leaves_while_it_is_asked_for_leaves_nothing(tmp_path: Path, lender: Lender) -> None:
    lender.may_go_on = asyncio.Event()
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, _):
        async with broker.leased([NEED], *calling()) as leases:
            taking = asyncio.ensure_future(leases.take())
            await until(lambda: lender.live)
            taking.cancel()
            await asyncio.wait([taking])
        lender.may_go_on.set()
        await until(lambda: not lender.live)
        assert await store.commit(Rows()) == []


@pytest.mark.parametrize("value", ["2short4", "with\0nul", ""])
async def test_a_value_that_cannot_be_handed_on_is_given_back(tmp_path: Path, lender: Lender, value: str) -> None:
    lender.value = lambda _: value
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, _):
        async with broker.leased([NEED], *calling()) as leases:
            with pytest.raises(SecretUnavailable) as caught:
                await leases.take()
        assert not value or value not in caught.value.detail
        assert lender.live == {}
        assert await store.commit(Rows()) == []


async def test_what_is_public_may_be_short_and_is_not_scrubbed(tmp_path: Path, lender: Lender) -> None:
    lender.value = lambda _: "bob"
    need = NEED.__class__("key.user", "key", "user")
    async with (
        opened(tmp_path, "one") as store,
        lending(store, key={"public": ("user",)}) as (broker, _),
        broker.leased([need], *calling()) as leases,
    ):
        assert (await leases.take()).values == {"key.user": "bob"}
        assert leases.scrubber.text("bob") == "bob"


async def test_what_could_not_be_revoked_is_revoked_later(tmp_path: Path, lender: Lender) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, issuer):
        lender.keeps = True
        async with broker.leased([NEED], *calling()) as leases:
            await leases.take()
        assert len(lender.live) == len(await store.commit(Rows())) == 1
        lender.keeps = False
        await issuer.tidy()
        assert lender.live == {}
        assert await store.commit(Rows()) == []


async def test_what_a_dead_process_left_is_revoked_by_another(tmp_path: Path, lender: Lender) -> None:
    # given a process that ended without a word, after one lease and in the middle of another
    async with opened(tmp_path, "dead") as store, lending(store, key={}) as (broker, _):
        lender.keeps = True
        async with broker.leased([NEED], *calling()) as leases:
            await leases.take()
    assert len(lender.live) == 1
    lender.keeps = False
    # when another begins
    async with opened(tmp_path, "next") as store, lending(store, key={}):
        await until(lambda: not lender.live)
        assert lender.taken_back[-1][1] is True
        await until(lambda: ("lease.revoked", "i1") in events(tmp_path))
        assert await store.commit(Rows()) == []


async def test_what_a_process_left_is_not_ended_while_its_source_may_be_at_work_for_it(
    tmp_path: Path, lender: Lender
) -> None:
    # given a process that ended in the middle of asking, and another lease of it
    async with opened(tmp_path, "dead") as store, lending(store, key={}) as (broker, _):
        lender.keeps = True
        async with broker.leased([NEED], *calling()) as leases:
            await leases.take()
    lender.keeps = False
    (asked,) = (purpose.lease for purpose in lender.live.values())
    async with opened(tmp_path, "next") as store:
        (row,) = await store.commit(Rows())
        at = datetime.fromisoformat(row.issued)
        ledger = Ledger(store, Sealing(b"k" * 32, os.urandom), lambda: at)
        sources = Sources(Around({}, lambda: at, os.urandom, lambda: "id"))
        blocks = {name: config.SourceBlock.model_validate(block) for name, block in DESK.items()}
        sources.put_in_force(blocks, sources.made(blocks))
        ending = Ending(ledger, sources)
        # when it is looked for before the longest time that an answer takes is over, then it stays
        assert await ending.sweep(at + timedelta(seconds=4)) == 6.0
        assert list(lender.live) == [asked]
        # and is ended after that
        assert await ending.sweep(at + timedelta(seconds=10)) == math.inf
        assert lender.live == {}


async def test_what_revokes_at_one_server_is_shown_to_no_other_that_has_its_name_now(
    tmp_path: Path, lender: Lender, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # given a lease that was left behind, and its source's name as that of another type
    async with opened(tmp_path, "dead") as store, lending(store, key={}) as (broker, _):
        lender.keeps = True
        async with broker.leased([NEED], *calling()) as leases:
            await leases.take()
    other = Lender()
    monkeypatch.setattr(config, "KINDS", {**known(lender), "other": known(other)["lender"]})
    # when another process looks after it
    async with opened(tmp_path, "next") as store, lending(store, {"desk": {"type": "other"}}, key={}) as (_, issuer):
        await issuer.tidy()
    # then that one was asked for nothing, and the record says that it is lost
    assert other.taken_back == []
    assert ("lease.lost", "i1") in events(tmp_path)
    assert "its source is of another type now" in caplog.text


async def test_one_that_no_source_understands_keeps_no_other_from_being_revoked(
    tmp_path: Path, lender: Lender, caplog: pytest.LogCaptureFixture
) -> None:
    # given two leases that were left behind, of which the source does not understand the first: it was another then
    async with opened(tmp_path, "dead") as store, lending(store, key={}) as (broker, _):
        lender.keeps = True
        for id_ in ("i1", "i2"):
            async with broker.leased([NEED], *calling(id_=id_)) as leases:
                await leases.take()
    lender.keeps = False
    lender.breaks_at = next(iter(lender.live))
    # when another process looks for them
    async with opened(tmp_path, "next") as store, lending(store, key={}) as (_, issuer):
        await issuer.tidy()
        # then the other is revoked, and the first one stays to be looked at
        assert list(lender.live) == [row.lease for row in await store.commit(Rows())] == [lender.breaks_at]
    assert "KeyError" in caplog.text
    assert "canary-7f3a9c51" not in caplog.text


async def test_a_source_that_breaks_as_it_revokes_breaks_no_call_and_keeps_no_other(
    tmp_path: Path, lender: Lender
) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, issuer):
        async with broker.leased([NEED], *calling()) as leases:
            lender.breaks_at = (await leases.take()).values["key"].removeprefix("value-of-")
        async with broker.leased([NEED], *calling(id_="i2")) as leases:
            await leases.take()
            lender.keeps = True
        lender.keeps = False
        await issuer.tidy()
        assert list(lender.live) == [lender.breaks_at]
        lender.breaks_at = None
        await issuer.tidy()
        assert lender.live == {}
        assert await store.commit(Rows()) == []


async def test_a_source_that_breaks_after_it_issued_leaves_nothing(tmp_path: Path, lender: Lender) -> None:
    lender.breaks_late = True
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, _):
        async with broker.leased([NEED], *calling()) as leases:
            with pytest.raises(SecretUnavailable):
                await leases.take()
        assert (lender.lent, lender.live) == (1, {})
        assert await store.commit(Rows()) == []


async def test_who_begins_runs_without_end_has_a_bounded_number_of_leases(tmp_path: Path, lender: Lender) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={"scope": "run"}) as (broker, _):
        async with broker.leased([NEED], *calling("bob", "other")) as leases:
            await leases.take()
        for run in map(str, range(70)):
            async with broker.leased([NEED], *calling(run=run)) as leases:
                await leases.take()
        # The newest of alice's, and bob's, who has nothing to do with it.
        assert len(lender.live) == 64 + 1
        assert "one-1" in lender.live


async def test_the_store_alone_does_not_give_away_what_revokes(tmp_path: Path, lender: Lender) -> None:
    async with (
        opened(tmp_path, "one") as store,
        lending(store, key={}) as (broker, _),
        broker.leased([NEED], *calling()) as leases,
    ):
        await leases.take()
        (row,) = await store.commit(Rows())
        assert row.revocation is not None
        assert row.lease.encode() not in row.revocation
        assert datetime.fromisoformat(row.issued) <= datetime.now(UTC)


async def test_an_answer_that_comes_too_late_is_ended_when_it_comes(tmp_path: Path, lender: Lender) -> None:
    lender.may_go_on = asyncio.Event()
    async with opened(tmp_path, "one") as store, lending(store, patience=0.05, key={}) as (broker, _):
        async with broker.leased([NEED], *calling()) as leases:
            with pytest.raises(SecretUnavailable):
                await leases.take()
        assert (len(lender.live), lender.taken_back) == (1, [])
        lender.may_go_on.set()
        await until(lambda: not lender.live)
        await until(lambda: ("lease.revoked", "i1") in events(tmp_path))
        assert await store.commit(Rows()) == []


async def test_every_lease_that_is_alive_is_scrubbed_whoever_has_it(tmp_path: Path, lender: Lender) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, _):
        async with broker.leased([], *calling("bob")) as others:
            async with broker.leased([NEED], *calling()) as leases:
                value = (await leases.take()).values["key"]
                assert others.scrubber.text(f"got {value}!") == "got [secret:key]!"
            # It was alive while this call went on.
            assert others.scrubber.json({"a": value}) == {"a": "[secret:key]"}
        async with broker.leased([], *calling("bob")) as later:
            assert later.scrubber.text(value) == value


async def test_what_is_being_asked_for_is_not_taken_for_what_was_left(tmp_path: Path, lender: Lender) -> None:
    lender.may_go_on = asyncio.Event()
    async with (
        opened(tmp_path, "one") as store,
        lending(store, key={}) as (broker, issuer),
        broker.leased([NEED], *calling()) as leases,
    ):
        taking = asyncio.ensure_future(leases.take())
        await until(lambda: lender.live)
        await issuer.tidy()
        assert lender.taken_back == []
        lender.may_go_on.set()
        assert (await taking).values
        assert lender.taken_back == []


async def test_a_source_that_breaks_its_word_refuses_one_call_and_says_nothing_of_values(
    tmp_path: Path, lender: Lender, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: str) -> str:
        raise KeyError("canary-7f3a9c51")

    async with opened(tmp_path, "one") as store, lending(store, key={}, wide={"scope": "identity"}) as (broker, _):
        sound, lender.value = lender.value, broken
        for need in (NEED, Need("wide", "wide")):
            async with broker.leased([need], *calling()) as leases:
                with pytest.raises(SecretUnavailable, match="is not available"):
                    await leases.take()
        lender.value = sound
        async with broker.leased([NEED], *calling()) as leases:
            assert (await leases.take()).values
    assert "KeyError in " in caplog.text
    assert "canary" not in caplog.text


async def test_nothing_is_kept_of_leases_that_ended_however_long_somebody_listens(
    tmp_path: Path, lender: Lender
) -> None:
    # given a reading of a catalog that goes on
    async with (
        opened(tmp_path, "one") as store,
        lending(store, key={"scope": "run"}) as (broker, issuer),
        broker.leased([]),
    ):
        # when runs come and go
        for run in map(str, range(20)):
            async with broker.leased([NEED], *calling(run=run)) as leases:
                await leases.take()
            await issuer.revoke(leases.issued[0].id)
        # then nothing is kept of them
        assert issuer.alive.since(-1) == ()
        assert not issuer._shared


async def test_what_cannot_be_revoked_any_more_is_lost_and_not_said_to_be_revoked(
    tmp_path: Path, lender: Lender
) -> None:
    lender.keeps = True
    async with (
        opened(tmp_path, "dead") as store,
        lending(store, key={}) as (broker, _),
        broker.leased([NEED], *calling()) as leases,
    ):
        await leases.take()
    async with opened(tmp_path, "next") as store, lending(store, sources={}):
        await until(lambda: ("lease.lost", "i1") in events(tmp_path))
    assert ("lease.revoked", "i1") not in events(tmp_path)
