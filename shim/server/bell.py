"""What wakes the one task of a stream."""

from __future__ import annotations

import anyio


class Bell:
    """Wakes one task, which may be busy when it rings: then it does not wait the next time."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, at_most: float) -> None:
        """Return when it has rung since the last time, or after so many seconds."""
        with anyio.move_on_after(at_most):
            await self._event.wait()
        self._event = anyio.Event()
