"""How one upstream stands, as far as anyone knows; and the wait of those who have to know it."""

from __future__ import annotations

import asyncio

from shim.errors import UpstreamUnavailable
from shim.model import Era, UpstreamState, UpstreamStatus
from shim.upstream.failures import unavailable
from shim.upstream.session import Peer

FIRST = 10.0
"""Seconds that a list or call waits for an upstream's first connection attempt."""


class Condition:
    """Told by who attends to the upstream, asked by who calls it.

    `era` is what the configuration forces or was found out, `peer` whom the catalog was last read from. `first` is set
    once the first attempt is over.
    """

    def __init__(self, name: str, forced: Era | None) -> None:
        self.era = forced
        self.peer: Peer | None = None
        self.first = asyncio.Event()
        self._name = name
        self._forced = forced
        self._state: UpstreamState = "connecting"
        self._excuse: str | None = None
        self._error: str | None = None
        self._unattended = False
        self._attempted = asyncio.Event()
        self._knocked = asyncio.Event()

    @property
    def error(self) -> str | None:
        """Why it is down, for whoever runs the shim."""
        return self._error

    def status(self) -> UpstreamStatus:
        return UpstreamStatus(self._state, self.era, self._error)

    def met(self, peer: Peer) -> None:
        """Somebody is there; whether it is of use is not known yet."""
        self.era, self.peer = peer.era, peer

    def up(self) -> None:
        """It answers."""
        self._settle("up", None, None)

    def down(self, excuse: str, error: str) -> None:
        """It does not. `excuse` is what callers are told, `error` what whoever runs the shim is told."""
        # It may speak another era when it comes back.
        self.era = self._forced
        self._settle("down", excuse, error)

    def leave(self) -> None:
        """Nobody attends to it any more: from now on calls go ahead, however it stood last."""
        self._unattended = True
        self._tell()

    def _settle(self, state: UpstreamState, excuse: str | None, error: str | None) -> None:
        self._state, self._excuse, self._error = state, excuse, error
        self._tell()

    def _tell(self) -> None:
        self.first.set()
        self._attempted.set()

    async def ready(self) -> None:
        """Wait for a first attempt, or have one more made. Raises UpstreamUnavailable when it is not up after that."""
        if self._state == "up" or self._unattended:
            return
        self._attempted.clear()
        self._knocked.set()
        try:
            async with asyncio.timeout(FIRST):
                await self._attempted.wait()
        except TimeoutError:
            pass
        if self.status().state != "up" and not self._unattended:
            raise UpstreamUnavailable(self._excuse or str(unavailable(self._name, "it does not answer yet")))

    async def pause(self, least: float, most: float) -> None:
        """Wait before another attempt: `most` seconds, or as few as `least` when a call wants the upstream now."""
        self._knocked.clear()
        await asyncio.sleep(least)
        try:
            async with asyncio.timeout(most - least):
                await self._knocked.wait()
        except TimeoutError:
            pass
        if self._state == "down":
            self._state = "connecting"
