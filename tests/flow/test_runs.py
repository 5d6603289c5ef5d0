"""Which run a call belongs to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import cast

import pytest

from shim.bounds.runs import Runs
from shim.catalog import Catalog
from shim.gateway import Gateway
from shim.invocations import Invocations
from shim.model import Caller, Credential, Identity
from shim.policy.engine import Policy
from shim.record.recorder import Record
from shim.tasks import Tasks
from shim.upstream.supervisor import Upstreams
from tests.secrets.asking import broker
from tests.server.doubles import MemoryPolicy, MemoryRecord, MemoryUpstreams, NoTasks

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def runs() -> Runs:
    numbers = count(1)
    return Runs(lambda: str(next(numbers)))


def caller(name: str = "a", *, run: str | None = None, session: str | None = None, trace: str | None = None) -> Caller:
    return Caller(Credential(Identity(name), "local", run), "http", "2026-07-28", session=session, trace=trace)


def test_the_first_name_that_there_is_counts() -> None:
    named = runs()
    assert named.name(caller(run="nightly", session="s", trace="t"), NOON) == "nightly"
    assert named.name(caller(session="s", trace="t"), NOON) == "s"
    assert named.name(caller(trace="t"), NOON) == "t"
    assert named.name(caller(), NOON) == "1"


def test_an_identity_that_is_not_trusted_with_traces_has_idle_runs() -> None:
    named = runs()
    untrusted = Caller(Credential(Identity("a", runs="idle"), "local"), "http", "2026-07-28", trace="t")
    assert named.name(untrusted, NOON) == "1"


def test_half_an_hour_of_silence_ends_an_idle_run() -> None:
    named = runs()
    assert named.name(caller(), NOON) == "1"
    assert named.name(caller(), NOON + timedelta(minutes=29)) == "1"
    assert named.name(caller(), NOON + timedelta(minutes=58)) == "1"
    assert named.name(caller(), NOON + timedelta(minutes=88)) == "2"


def test_what_is_kept_of_identities_without_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shim.bounds.runs.KEPT", 3)
    named = runs()
    for name in ("a", "b", "c", "a", "d"):
        named.name(caller(name), NOON)
    assert [named.name(caller(name), NOON) for name in ("a", "c", "d")] == ["1", "3", "4"]
    assert named.name(caller("b"), NOON) == "5"


def test_identities_do_not_share_an_idle_run() -> None:
    named = runs()
    assert named.name(caller("a"), NOON) != named.name(caller("b"), NOON)


def test_being_told_of_a_resource_is_no_call_and_keeps_no_run_alive() -> None:
    now = NOON
    policy, ref = MemoryPolicy({"a": {"resource:up/x:1"}}), "resource:up/x:1"
    record = cast(Record, MemoryRecord())
    invocations = Invocations(record, runs(), policy_digest="", new_id=lambda: "i", clock=lambda: now)
    hearing = gateway_of(policy, invocations).hearing
    assert invocations.begin(caller(), "tools/call").run == "1"
    now += timedelta(minutes=20)
    assert hearing.may(caller(), ref, "x:1")
    now += timedelta(minutes=20)
    assert invocations.begin(caller(), "tools/call").run == "2"


def gateway_of(policy: MemoryPolicy, invocations: Invocations) -> Gateway:
    return Gateway(
        catalog=Catalog([]),
        policy=cast(Policy, policy),
        invocations=invocations,
        upstreams=cast(Upstreams, MemoryUpstreams()),
        secrets=broker({}),
        tasks=cast(Tasks, NoTasks()),
    )
