"""Leases: what is issued, what is told of it, and what is told to nobody."""

from __future__ import annotations

import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.errors import SecretUnavailable
from shim.lending import Need
from shim.secrets.config import SecretBlock
from tests.secrets.asking import broker, issued, need, put, taken

CANARY = "canary-7f3a9c"
TWO = {"a": {"source": "env", "name": "A"}, "b": {"source": "env", "name": "B"}}


async def test_a_lease_a_secret_with_what_the_record_wants(tmp_path: Path) -> None:
    path = put(tmp_path / "f", '{"user": "bob-the-builder", "token": "its-token"}')
    asked = broker({**TWO, "f": {"source": "file", "path": str(path)}}, {"A": "the-value-of-a"})
    before = datetime.now(UTC)
    leased, leases = await issued(asked, "f.user", "a", "f.token")
    assert leased.values == {"f.user": "bob-the-builder", "f.token": "its-token", "a": "the-value-of-a"}
    assert [(lease.id, lease.secret, lease.source) for lease in leases] == [
        ("lease-1", "f", "file"),
        ("lease-2", "a", "env"),
    ]
    assert all(before <= lease.issued <= datetime.now(UTC) for lease in leases)
    assert {(lease.expires, lease.revoked) for lease in leases} == {(None, None)}


async def test_nothing_is_asked_before_it_is_taken_and_nothing_where_nothing_is_needed() -> None:
    asked = broker(TWO)
    async with asked.leased([need("a")]) as leases:
        assert leases.issued == ()
    leased, leases_ = await issued(asked)
    assert (leased.values, leased.fingerprint, leases_) == ({}, b"", ())


async def test_what_was_issued_before_another_failed_is_told() -> None:
    asked = broker(TWO, {"A": "the-value-of-a"})
    async with asked.leased([need("a"), need("b")]) as leases:
        with pytest.raises(SecretUnavailable):
            await leases.take()
        assert [lease.secret for lease in leases.issued] == ["a"]


async def test_a_caller_learns_the_name_that_the_upstream_uses(tmp_path: Path) -> None:
    asked = broker({"hidden": {"source": "file", "path": str(tmp_path / "nowhere")}})
    async with asked.leased([Need("tickets.token", "hidden", "token")]) as leases:
        with pytest.raises(SecretUnavailable) as caught:
            await leases.take()
    assert "The secret tickets is not available" in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert str(tmp_path / "nowhere") in caught.value.detail


async def test_a_call_goes_on_with_the_secrets_it_began_with() -> None:
    # given leases that are to be taken, when the secrets are others
    asked = broker(TWO, {"A": "the-value-of-a", "B": "the-value-of-b"})
    async with asked.leased([need("a")]) as leases:
        other = asked.of({"b": SecretBlock(source="env", name="B")})
        # then these are still those of before, and what comes is of the others
        assert (await leases.take()).values == {"a": "the-value-of-a"}
    assert (await taken(other, "b")).fingerprint == (await taken(asked, "b")).fingerprint
    with pytest.raises(SecretUnavailable) as caught:
        await taken(other, "a")
    assert caught.value.why == "the configuration has no secret a, and the grant binds none to that name"


async def test_what_travels_with_a_call_is_no_part_of_the_fingerprint_of_sessions() -> None:
    asked = broker(TWO, {"A": "the-value-of-a", "B": "the-value-of-b"})
    travelling = [replace(need(name), travels=True) for name in ("a", "b")]
    async with asked.leased([need("a"), *travelling]) as both, asked.leased(travelling) as alone:
        both_, alone_ = await both.take(), await alone.take()
    assert both_.values == alone_.values == {"a": "the-value-of-a", "b": "the-value-of-b"}
    assert both_.fingerprint == (await taken(asked, "a")).fingerprint
    assert alone_.fingerprint == b""


values = st.dictionaries(st.sampled_from(["a", "b", "a.b", "c"]), st.text(min_size=1, max_size=8), min_size=1)


@given(values, values)
def test_a_fingerprint_tells_values_apart_in_one_process_alone(one: dict[str, str], other: dict[str, str]) -> None:
    def encodable(found: dict[str, str]) -> dict[str, str]:
        return {name: value.encode(errors="replace").decode() for name, value in found.items()}

    one, other = encodable(one), encodable(other)
    asked, elsewhere = broker({}), broker({})
    assert asked.fingerprint(one) == asked.fingerprint(dict(reversed(one.items())))
    assert (asked.fingerprint(one) == asked.fingerprint(other)) == (one == other)
    assert asked.fingerprint(one) != elsewhere.fingerprint(one)


async def test_no_value_is_in_anything_that_is_shown(tmp_path: Path) -> None:
    path = put(tmp_path / "f", f'{{"token": "{CANARY}"}}')
    asked = broker({"a": {"source": "env", "name": "A"}, "f": {"source": "file", "path": str(path)}}, {"A": CANARY})
    leased, leases = await issued(asked, "a", "f.token")
    assert leased.values == {"a": CANARY, "f.token": CANARY}
    assert CANARY not in repr(leased) + repr(leases) + repr(asked) + repr(vars(asked).get("_secrets"))


@pytest.mark.parametrize(
    "content", [CANARY + "\0", CANARY.encode() + b"\xff", f"[{CANARY}", f'{{"token": "{CANARY}\\ud800"}}']
)
async def test_no_value_is_in_a_traceback_or_in_what_led_to_it(tmp_path: Path, content: str | bytes) -> None:
    asked = broker({"f": {"source": "file", "path": str(put(tmp_path / "f", content))}})
    for reference in ("f", "f.token"):
        try:
            await taken(asked, reference)
        except SecretUnavailable as refusal:
            shown = "".join(traceback.TracebackException.from_exception(refusal, capture_locals=False).format())
            error: BaseException | None = refusal
            while error is not None:
                # Also what standard tracebacks hide, and what exceptions hold beside their words.
                shown += repr(error) + repr(error.args) + repr(vars(error))
                error = error.__context__
            assert CANARY not in shown
