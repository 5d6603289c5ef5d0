"""How often a wrong token may be tried: guessing is hopeless anyway, but each guess costs work."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Final

SECONDS: Final = 60.0
PER_ADDRESS: Final = 10
_ADDRESSES: Final = 4096


class Attempts:
    """Counts what failed, for each address and minute. `clock` gives seconds and never goes back.

    Of more addresses than it keeps, those that come last wait for the next minute.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: Counter[str | None] = Counter()
        self._began = clock()

    def wait(self, address: str | None) -> int:
        """How many seconds an address has to wait; 0: none."""
        now = self._clock()
        if now - self._began >= SECONDS:
            self._failed.clear()
            self._began = now
        is_new = address not in self._failed
        if self._failed[address] < PER_ADDRESS if not is_new else len(self._failed) < _ADDRESSES:
            return 0
        return max(1, math.ceil(self._began + SECONDS - now))

    def failed(self, address: str | None) -> None:
        """One more."""
        self._failed[address] += 1
