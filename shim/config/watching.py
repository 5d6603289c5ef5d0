"""Reading a configuration again when its files change.

Notices of the system only wake: what decides is whether the files have other stamps than when they were read last. So
nothing is lost between two notices, and a file system that gives none is looked at every second all the same. Files
that change while they are being read are read again, and a fault counts only once the files lie still.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import anyio
from watchfiles import Change, awatch

from shim.config import places
from shim.config.configuration import Configuration
from shim.config.loader import load
from shim.config.places import Stamp
from shim.errors import ConfigurationError
from shim.identity import tokenfile
from shim.model import Problem

_log = logging.getLogger("shim.config")

TICK = 1.0
"""Seconds after which is looked without a notice."""

STEP, BURST = 0.05, 0.25
"""Seconds without a further notice after which is looked, and seconds after which is looked whatever comes."""

CALM = 0.1
"""Seconds for which files with a fault must lie still: who writes them may be in the middle."""

AGAIN = 5.0
"""Seconds after which files with a fault are read again as they are: what is missing may be beside them."""

_RESTS = 20

Take: TypeAlias = Callable[[Configuration], Awaitable[bool]]
"""Given each configuration that was read without a fault; False: not now, give it again."""

Refuse: TypeAlias = Callable[[Sequence[Problem], str | None], Awaitable[None]]
"""Told of faults, and of the digest of the texts that have them, as far as these can be read."""


@dataclass(frozen=True, slots=True)
class _Look:
    """The stamps of all files that are read, and the folders to watch."""

    stamps: tuple[tuple[Path, Stamp], ...]
    folders: Mapping[Path, set[str]]
    kept: tuple[tuple[Path, Stamp], ...]


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
        self._seen: tuple[tuple[Path, Stamp], ...] | None = None
        self._again: float | None = None
        self._patterns: tuple[str, ...] = ()
        self._patterns_of: Stamp = None
        self._deaf = False
        self._rested = 0.0

    async def run(self) -> None:
        """Follow it until cancelled."""
        look = await self._look()
        while True:
            async with aclosing(self._wakes(look)) as wakes:
                async for noticed in wakes:
                    if not noticed and monotonic() < self._rested:
                        continue
                    before, look = look, await self._look()
                    await self._consider(look)
                    if look.kept != before.kept:
                        break

    async def _wakes(self, look: _Look) -> AsyncGenerator[bool]:
        """Wakes up at each notice about a name that matters, and when asked (true); and at every tick (false)."""
        names = set().union(*look.folders.values())

        def matters(_change: Change, path: str) -> bool:
            # By name alone: some systems tell of the folder that a link leads to, not of the one that was named.
            name = path.rpartition("/")[2]
            return any(fnmatchcase(name, pattern) for pattern in names)

        try:
            notices = awatch(
                *look.folders,
                watch_filter=matters,
                step=round(STEP * 1000),
                debounce=round(BURST * 1000),
                rust_timeout=round(TICK * 1000),
                yield_on_timeout=True,
                recursive=False,
                stop_event=self._asked,
                ignore_permission_denied=True,
            )
            async with aclosing(notices):
                async for changes in notices:
                    yield bool(changes)
        except OSError as error:
            # Out of watches, or a folder that has just gone.
            if not self._deaf:
                self._deaf = True
                _log.warning("changes of files are found every %g s only: they cannot be watched: %s", TICK, error)
        if not self._asked.is_set():
            with anyio.move_on_after(TICK):
                await self._asked.wait()
        yield True

    async def _look(self) -> _Look:
        began = monotonic()
        look = await asyncio.to_thread(self._looked)
        # Patterns may lead through whole trees: looking without a notice takes a small part of the time at most.
        self._rested = monotonic() + _RESTS * (monotonic() - began)
        return look

    def _looked(self) -> _Look:
        of = places.stamp(self._path)
        if of != self._patterns_of or of is None:
            found = places.patterns(self._path, self._environ)
            if found is not None:
                self._patterns, self._patterns_of = found, of
        files = places.included(self._path.parent, self._patterns)
        stamps = [(path, places.stamp(path)) for path in (self._path, self._path.with_name(tokenfile.NAME), *files)]
        folders = places.places(self._path, self._patterns, files)
        return _Look(tuple(stamps), folders, places.kept(folders))

    async def _consider(self, look: _Look) -> None:
        """Read the files if they changed, or if it is time to try again."""
        asked = self._asked.is_set()
        self._asked.clear()
        due = self._again is not None and monotonic() >= self._again
        if look.stamps == self._seen and not asked and not due:
            return
        try:
            read = await asyncio.to_thread(load, self._path, self._environ)
        except ConfigurationError as error:
            await asyncio.sleep(CALM)
            if (await self._look()).stamps == look.stamps:
                self._seen, self._again = look.stamps, monotonic() + AGAIN
                await self._refuse(error.problems, error.digest)
            return
        if (await self._look()).stamps != look.stamps:
            return
        taken = await self._take(read)
        self._seen, self._again = look.stamps, None if taken else monotonic() + TICK
        if asked and taken:
            _log.warning("the configuration was read, as asked")
