"""The ids of invocations."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from shim.wiring import new_id


def test_ids_are_of_version_7_and_sort_by_time() -> None:
    ids = [UUID(new_id()) for _ in range(1000)]
    assert {(one.version, one.variant) for one in ids} == {(7, RFC_4122)}
    assert len(set(ids)) == len(ids)
    stamps = [one.int >> 80 for one in ids]
    assert stamps == sorted(stamps)
