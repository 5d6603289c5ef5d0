"""Leases of this process that another one ended: a person at the command line, above all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from shim.errors import RecordUnavailable
from shim.secrets.faults import where
from shim.secrets.held import Held
from shim.secrets.ledger import Ledger
from shim.secrets.source import Unavailable

_log = logging.getLogger("shim.secrets")

_EVERY = 5.0
"""Seconds between two looks, where no call makes one sooner."""


class Noticing:
    """Ends here what ended elsewhere. `held` are the leases of this process by id; `end` ends one."""

    def __init__(self, ledger: Ledger, held: Mapping[str, Held], end: Callable[[Held, str], Awaitable[None]]) -> None:
        self._ledger = ledger
        self._held = held
        self._end = end
        self._seen = 0

    async def look(self) -> None:
        """End what is over in the store. Raises RecordUnavailable."""
        looked = [one for one in self._held.values() if one.revocation is not None]
        news = self._ledger.news
        if looked:
            alive = await self._ledger.alive()
            ended = [one for one in looked if one.lease.id not in alive and not one.over]
            ends = (self._end(one, "it was ended by another process") for one in ended)
            for fault in await asyncio.gather(*ends, return_exceptions=True):
                if fault is not None:
                    _log.error("a lease that ended elsewhere could not be ended here: %s", where(fault))
        self._seen = news

    async def ask(self) -> None:
        """Before a lease that is there serves another call: look, if others have put anything on the record.

        The intent of that call is there already, so whatever was before it is known. Raises Unavailable.
        """
        if self._ledger.news == self._seen:
            return
        try:
            await self.look()
        except RecordUnavailable as error:
            raise Unavailable(f"whether it was revoked meanwhile cannot be read from the record: {error}") from None

    async def keep(self) -> None:
        """Look from time to time, for ever: what has the values of a lease that ended ends though nobody calls."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.look()
            except RecordUnavailable as error:
                _log.warning("whether leases were revoked elsewhere could not be looked at: %s", error)
