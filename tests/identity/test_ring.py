"""When the issuer is asked for its keys: on rotation, in a flood, while it is down; and how long keys are believed."""

from __future__ import annotations

import anyio
import pytest

from shim.identity.fetching import Fetcher
from shim.identity.issuer import Issuer as Source
from shim.identity.keys import Key
from shim.identity.ring import AGAIN, FRESH, KEPT, UNKNOWN, KeyRing
from shim.model import JsonObject
from tests.identity.issuer import AnyKey, claims, ec, issuing, public, signed
from tests.identity.judging import ISSUER, bench

ONE, TWO = ec(), ec()
UNKNOWN_KEY = "a JWT of a key that the issuer does not have"
DAY = 86_400


def by(key: AnyKey) -> str:
    """A token that lives long enough for these tests."""
    return signed({"alg": "ES256", "kid": key.kid}, claims(ISSUER, exp=claims(ISSUER)["iat"] + DAY), key)


async def test_known_keys_are_asked_for_once_while_they_are_fresh() -> None:
    there = bench(ONE)
    for _ in range(20):
        assert await there.why(by(ONE)) is None
    assert there.fetches == 1
    there.now += FRESH
    for _ in range(20):
        assert await there.why(by(ONE)) is None
    assert there.fetches == 2


async def test_a_new_key_is_fetched_when_a_token_names_it_and_one_that_is_gone_ends() -> None:
    there = bench(ONE)
    assert await there.why(by(ONE)) is None
    version = there.ring.version
    there.published = [public(TWO)]
    there.now += 1
    assert await there.why(by(TWO)) is None
    assert await there.why(by(ONE)) == UNKNOWN_KEY
    assert there.ring.version != version


async def test_a_key_that_is_taken_away_ends_when_keys_are_looked_at_again() -> None:
    there = bench(ONE, TWO)
    assert await there.why(by(ONE)) is None
    there.published = [public(TWO)]
    assert await there.why(by(ONE)) is None
    there.now += FRESH
    assert await there.why(by(ONE)) == UNKNOWN_KEY


async def test_ids_that_nobody_knows_are_asked_about_a_few_times_and_a_rotation_is_still_seen() -> None:
    there = bench(ONE)
    assert await there.why(by(ONE)) is None
    for _ in range(200):
        there.now += 1
        assert await there.why(by(ec())) == UNKNOWN_KEY
    assert there.fetches == 1 + UNKNOWN
    there.published = [public(TWO)]
    there.now += FRESH
    assert await there.why(by(TWO)) is None


async def test_who_comes_while_keys_of_long_ago_are_looked_at_again_waits_for_those_of_now() -> None:
    # given keys that nobody asked about since, and one that was taken away meanwhile
    there = bench(ONE, TWO)
    assert await there.why(by(ONE)) is None
    there.published = [public(TWO)]
    there.now += KEPT / 2
    fetch, started, go = there._fetch, anyio.Event(), anyio.Event()

    async def slowly() -> tuple[Key, ...]:
        started.set()
        await go.wait()
        return await fetch()

    there.ring._fetch = slowly
    found: list[str | None] = []

    async def comes() -> None:
        found.append(await there.why(by(ONE)))

    # when two come at once, then neither is judged by what was known then
    async with anyio.create_task_group() as group:
        group.start_soon(comes)
        await started.wait()
        group.start_soon(comes)
        await anyio.wait_all_tasks_blocked()
        assert found == []
        go.set()
    assert found == [UNKNOWN_KEY, UNKNOWN_KEY]


async def test_that_nobody_came_for_long_is_no_trouble_of_the_issuer(caplog: pytest.LogCaptureFixture) -> None:
    there = bench(ONE)
    assert await there.why(by(ONE)) is None
    there.now += KEPT
    assert await there.why(by(ONE)) is None
    assert caplog.records == []


async def test_keys_are_renewed_for_streams_though_nobody_comes() -> None:
    there = bench(ONE)
    await there.ring.renew()
    assert there.fetches == 0, "nobody has come yet"
    assert await there.why(by(ONE)) is None
    version = there.ring.version
    for _ in range(30):
        there.now += FRESH / 2
        await there.ring.renew()
    assert there.fetches == 16
    assert there.ring.version == version, "what was verified holds"
    there.published = [public(TWO)]
    there.now += FRESH
    await there.ring.renew()
    assert there.ring.version != version, "and ends with its key"


async def test_while_the_issuer_is_down_known_keys_hold_for_a_while() -> None:
    there = bench(ONE)
    assert await there.why(by(ONE)) is None
    there.down = "it is down"
    heard = there.now
    while there.now + AGAIN / 2 < heard + KEPT:
        there.now += AGAIN / 2
        assert await there.why(by(ONE)) is None
    # It was asked at intervals, and nobody is told more than that a key is not known
    assert 1 < there.fetches <= KEPT / AGAIN
    assert await there.why(by(TWO)) == "a JWT whose key is not known while the issuer cannot be asked: it is down"
    version = there.ring.version
    there.now = heard + KEPT
    assert await there.why(by(ONE)) == "a JWT whose key is not known while the issuer cannot be asked: it is down"
    assert there.ring.version != version
    there.down = None
    there.now += AGAIN
    assert await there.why(by(ONE)) is None


async def test_nobody_is_asked_for_a_token_that_is_refused_anyway() -> None:
    there = bench(ONE)
    refused: list[tuple[JsonObject, JsonObject]] = [
        ({"alg": "ES256"}, {"aud": "x"}),
        ({"alg": "ES256"}, {"iss": "x"}),
        ({"alg": "ES256"}, {"exp": 1}),
        ({"alg": "ES256", "typ": "x"}, {}),
    ]
    for header, members in refused:
        assert await there.why(signed({**header, "kid": "x"}, claims(ISSUER, **members), ONE)) is not None
    assert there.fetches == 0


async def test_a_flood_of_unknown_ids_from_many_callers_reaches_the_issuer_a_handful_of_times() -> None:
    async with issuing(("ES256", ONE)) as issuer:
        ring = KeyRing(Source(issuer.url, None, Fetcher()).keys)

        async def caller(number: int) -> None:
            for attempt in range(15):
                await ring.look(f"{number}-{attempt}", "ES256")

        async with anyio.create_task_group() as group:
            for number in range(32):
                group.start_soon(caller, number)
        assert ring.keys(ONE.kid, "ES256")
        assert issuer.asked["/keys"] <= 1 + UNKNOWN
        assert issuer.asked.total() <= 2 + UNKNOWN


async def test_a_caller_who_leaves_while_keys_are_fetched_leaves_it_to_the_next() -> None:
    there = bench(ONE)
    started, never = anyio.Event(), anyio.Event()
    fetch = there._fetch

    async def hangs() -> tuple[object, ...]:
        started.set()
        await never.wait()
        raise AssertionError

    there.ring._fetch = hangs  # type: ignore[assignment]
    async with anyio.create_task_group() as group:
        group.start_soon(there.ring.look, ONE.kid, "ES256")
        await started.wait()
        group.cancel_scope.cancel()
    there.ring._fetch = fetch
    there.now += AGAIN
    assert await there.why(by(ONE)) is None
