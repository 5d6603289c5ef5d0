"""Reading a configuration again when its files change.

Files are looked at, a few times a second: whether they have other stamps than when they were read last. That holds on
every file system, mounted or not, through links and replaced folders, and costs nothing when others write beside them,
as the record does at every call. Files that change while they are being read are read again, and a fault counts only
once the files lie still.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import anyio

from shim.config import stamps
from shim.config.configuration import Configuration
from shim.config.loader import load
from shim.config.stamps import Stamp
from shim.errors import ConfigurationError
from shim.identity import tokenfile
from shim.model import Problem

_log = logging.getLogger("shim.config")

TICK = 0.15
"""Seconds from one look to the next."""

STEP = 0.05
"""Seconds for which files must lie still before they are read: an editor may write several."""

CALM = 0.1
"""Seconds for which files with a fault must lie still: who writes them may be in the middle."""

SOON = 1.0
"""Seconds after which a configuration that was not taken is given again."""

AGAIN = 5.0
"""Seconds after which files with a fault are read again as they are: what is missing may be beside them."""

_RESTS = 20
"""How many times as long as a look took is rested after it: patterns may lead through whole trees."""

Take: TypeAlias = Callable[[Configuration], Awaitable[bool]]
"""Given each configuration that was read without a fault; False: not now, give it again."""

Refuse: TypeAlias = Callable[[Sequence[Problem], str | None], Awaitable[None]]
"""Told of faults, and of the digest of the texts that have them, as far as these can be read."""


_Stamps: TypeAlias = tuple[tuple[Path, Stamp], ...]
"""The stamps of all files that are read."""


class Watch:
    """Follows the configuration at an absolute path. `asked`, when set, has it read at once, changed or not."""

    def __init__(
        self, path: Path, environ: Mapping[str, str], *, take: Take, refuse: Refuse, asked: asyncio.Event
    ) -> None:
        self._path = path
        self._environ = environ
        self._take = take
        self._refuse = refuse
        self._asked = asked
        self._seen: _Stamps | None = None
        self._again: float | None = None
        self._patterns: tuple[str, ...] = ()
        self._patterns_of: Stamp = None

    async def run(self) -> None:
        """Follow it until cancelled."""
        while True:
            began = monotonic()
            seen = await self._look()
            took = monotonic() - began
            await self._consider(seen)
            with anyio.move_on_after(max(TICK, _RESTS * took)):
                await self._asked.wait()

    async def _look(self) -> _Stamps:
        return await asyncio.to_thread(self._looked)

    def _looked(self) -> _Stamps:
        of = stamps.stamp(self._path)
        if of != self._patterns_of or of is None:
            found = stamps.patterns(self._path, self._environ)
            if found is not None:
                self._patterns, self._patterns_of = found, of
        files = stamps.included(self._path.parent, self._patterns)
        return tuple((path, stamps.stamp(path)) for path in (self._path, self._path.with_name(tokenfile.NAME), *files))

    async def _consider(self, found: _Stamps) -> None:
        """Read the files if they changed, or if it is time to try again."""
        asked = self._asked.is_set()
        due = self._again is not None and monotonic() >= self._again
        if found == self._seen and not asked and not due:
            return
        if self._seen is not None and not await self._still(found, STEP):
            return
        self._asked.clear()
        try:
            read = await asyncio.to_thread(load, self._path, self._environ)
        except ConfigurationError as error:
            if await self._still(found, CALM):
                self._seen, self._again = found, monotonic() + AGAIN
                await self._refuse(error.problems, error.digest)
            return
        if not await self._still(found, 0.0):
            return
        taken = await self._take(read)
        self._seen, self._again = found, None if taken else monotonic() + SOON
        if asked and taken:
            _log.warning("the configuration was read, as asked")

    async def _still(self, found: _Stamps, seconds: float) -> bool:
        """Whether the files have these stamps after so long a time."""
        await asyncio.sleep(seconds)
        return await self._look() == found
