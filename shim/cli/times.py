"""Moments as the command line takes them: RFC 3339, a date, or a duration back from now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shim.cli.errors import usage


def moment(text: str, option: str, now: datetime) -> datetime:
    """`2026-08-01T10:00:00Z`, `2026-08-01` (its first instant, UTC) or `2h` before now, in UTC.

    A time without an offset is refused, as it would mean another instant on another machine. Raises Stop.
    """
    from shim.units import seconds

    try:
        return now - timedelta(seconds=seconds(text))
    except OverflowError:
        raise usage(f"{option}: {text!r} reaches back before the calendar begins") from None
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise usage(
            f"{option}: {text!r} is not a time; write 2026-08-01T10:00:00Z, 2026-08-01, or a duration back from now: 2h"
        ) from None
    if when.tzinfo is None:
        if "T" in text or ":" in text:
            raise usage(f"{option}: {text!r} has no offset; append Z for UTC, or +02:00")
        return when.replace(tzinfo=UTC)
    return when.astimezone(UTC)
