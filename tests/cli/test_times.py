"""Moments on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shim.cli.errors import USAGE, Stop
from shim.cli.times import moment

NOW = datetime(2026, 8, 15, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("90s", NOW - timedelta(seconds=90)),
        ("2026-08-01", datetime(2026, 8, 1, tzinfo=UTC)),
        ("2026-08-01T10:00:00Z", datetime(2026, 8, 1, 10, tzinfo=UTC)),
        ("2026-08-01T10:00:00+02:00", datetime(2026, 8, 1, 8, tzinfo=UTC)),
    ],
)
def test_times_and_durations(text: str, when: datetime) -> None:
    assert moment(text, "--since", NOW) == when


@pytest.mark.parametrize("text", ["yesterday", "2026-08-01T10:00:00", "2026-13-01", "-2h", "", "999999999999d"])
def test_what_is_no_time_says_what_would_be(text: str) -> None:
    with pytest.raises(Stop, match=r"^--since: ") as stop:
        moment(text, "--since", NOW)
    assert stop.value.code == USAGE
