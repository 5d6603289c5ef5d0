"""What may be said of a fault that nobody foresaw, where its own words may hold a value."""

from __future__ import annotations

import traceback


def where(error: BaseException) -> str:
    """What it is and where it was raised; not what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {' < '.join(f'{frame.name}:{frame.lineno}' for frame in reversed(frames))}"
