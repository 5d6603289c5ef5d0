"""Durations and sizes."""

from __future__ import annotations

import pytest

from shim.units import seconds, size


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("10m", 600), ("2h", 7200), ("400d", 34_560_000), ("250ms", 0.25)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(("text", "value"), [("4MiB", 4_194_304), ("64KiB", 65_536), ("100", 100), ("1GiB", 2**30)])
def test_sizes(text: str, value: int) -> None:
    assert size(text) == value


@pytest.mark.parametrize("text", ["30", "s", "-1s", "1 h", "1w", "", "\u0661s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s"):
        seconds(text)


@pytest.mark.parametrize("text", ["MiB", "-1", "1.5MiB", "10 MiB", "1TiB", ""])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 64KiB"):
        size(text)
