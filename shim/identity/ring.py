"""The keys of the issuer that are believed now, and when they are asked for again.

Whoever sends a token chooses its key id, so what asks the issuer is bounded whatever is sent: one fetch at a time, a
pause between two, and four in five minutes for ids that nobody knows. Beside that the keys are looked at again every
five minutes, so that a rotation is seen by then even in the middle of such a flood, and a key that is gone as well.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from shim.identity.fetching import KeysUnavailable
from shim.identity.keys import Key, candidates

_log = logging.getLogger("shim.identity")

FRESH: Final = 300.0
"""Seconds after which keys are looked at again."""
KEPT: Final = 3600.0
"""Seconds for which keys are believed after the issuer was last heard."""
APART: Final = 0.25
"""Seconds between two fetches: who comes in between waits for the next."""
AGAIN: Final = 15.0
"""Seconds between attempts while the issuer does not answer."""
UNKNOWN: Final = 4
"""How often in `FRESH` seconds the issuer is asked about ids that nobody knows."""


class KeyRing:
    """Owns the keys. `fetch` gets those of now, or raises KeysUnavailable; `now` is a monotonic clock in seconds."""

    def __init__(
        self, fetch: Callable[[], Awaitable[tuple[Key, ...]]], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._keys: tuple[Key, ...] = ()
        self._heard: float | None = None
        self._tried: float | None = None
        self._asked: deque[float] = deque(maxlen=UNKNOWN)
        self._failure: str | None = None
        self._version = 0
        self._lock = anyio.Lock()

    @property
    def version(self) -> int:
        """Changes whenever a key does: what was checked before must be checked again."""
        self._drop()
        return self._version

    @property
    def is_fresh(self) -> bool:
        """Whether the keys need not be looked at again."""
        return self._heard is not None and self._now() - self._heard < FRESH

    @property
    def trouble(self) -> str | None:
        """Why the issuer could not be asked the last time; None: it could."""
        return self._failure

    def keys(self, kid: str | None, algorithm: str) -> tuple[Key, ...]:
        """The keys that a token with this header may have been signed with, of those that are believed now."""
        self._drop()
        return candidates(self._keys, kid, algorithm)

    async def look(self, kid: str | None, algorithm: str) -> None:
        """Ask the issuer where that may help to judge such a token and is not too soon; others share the answer."""
        if self.keys(kid, algorithm):
            if self._is_forgotten:
                async with self._lock:
                    if self._is_forgotten:
                        await self._refresh()
            # One looks again; the others go on with what is known.
            elif not self.is_fresh and self._may_try(AGAIN) and not self._lock.locked():
                async with self._lock:
                    await self._refresh()
            return
        async with self._lock:
            if self.keys(kid, algorithm) or not self._may_ask():
                return
            if self._tried is not None:
                await anyio.sleep(max(0.0, self._tried + APART - self._now()))
            if self._heard is not None:
                self._asked.append(self._now())
            await self._refresh()

    async def renew(self) -> None:
        """Look again at keys that are not fresh, though nobody comes: streams that are open hang on them."""
        if self._heard is not None and not self.is_fresh and self._may_try(AGAIN) and not self._lock.locked():
            async with self._lock:
                await self._refresh()

    @property
    def _is_forgotten(self) -> bool:
        """Whether nobody has come for so long that a key may be gone; of an issuer that is down somebody has asked."""
        return self._failure is None and self._heard is not None and self._now() - self._heard >= 2 * FRESH

    def _may_try(self, apart: float) -> bool:
        return self._tried is None or self._now() - self._tried >= apart

    def _may_ask(self) -> bool:
        if self._failure is not None:
            return self._may_try(AGAIN)
        spent = len(self._asked) == UNKNOWN and self._now() - self._asked[0] < FRESH
        return not (spent and self.is_fresh)

    async def _refresh(self) -> None:
        self._tried = self._now()
        try:
            found = await self._fetch()
        except KeysUnavailable as error:
            if self._failure is None:
                _log.error("the keys of the issuer of JWTs could not be fetched: %s", error)
            self._failure = str(error)
            return
        if self._failure is not None:
            _log.warning("the issuer of JWTs answers again")
        self._failure = None
        self._heard = self._now()
        if found != self._keys:
            self._keys = found
            self._version += 1

    def _drop(self) -> None:
        if self._keys and self._heard is not None and self._now() - self._heard >= KEPT:
            # That nobody came for so long, and so nobody asked, is no trouble.
            if self._failure is not None:
                _log.error("the issuer of JWTs was not heard for %.0f minutes: its keys hold no more", KEPT / 60)
            self._keys = ()
            self._version += 1
