"""The sessions of one upstream: one for each key, made on first use, capped, ended when idle."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias
from weakref import WeakValueDictionary

from shim.errors import Refusal
from shim.upstream.failures import Busy, Spent, unavailable
from shim.upstream.session import Opened, Spawn


class Key(NamedTuple):
    """Whose session it is (an identity, or nobody's in particular), and the fingerprint of what it was handed.

    `capabilities` tells sessions apart in which something else may be asked of the client, `client` those that belong
    to one session of a client.
    """

    owner: str = ""
    fingerprint: bytes = b""
    capabilities: str = ""
    client: str = ""


@dataclass(slots=True, eq=False)
class _Entry:
    key: Key
    turn: int
    ready: asyncio.Future[Opened]
    users: int = 0
    holders: int = 0
    last: float = 0.0

    @property
    def session(self) -> Opened | None:
        """The session, once it is open."""
        if self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None:
            return self.ready.result()
        return None

    @property
    def usable(self) -> bool:
        """Open and alive, or still being opened."""
        session = self.session
        return session.alive if session is not None else not self.ready.done()


GIVE_WAY_SECONDS = 1.0
"""How long a call waits at most although its session is there, because another waits for any."""

Make: TypeAlias = Callable[[], Awaitable[Opened]]
"""Opens a session; raises a Refusal when it cannot."""


class Pool:
    """Lends sessions. Owns them all.

    At most `limit` at once. Who needs one more takes the place of the one that was idle longest, or waits its turn;
    and for a session to open, for at most `patience` seconds in all; the session then goes on opening for others.
    While somebody waits, who has a session leaves it for a moment, so that calls that overlap keep none for ever.

    A session that a call has alone may be its for as long as a person thinks. So one caller has at most half of the
    places (and one at least) with such calls, and waits beside the queue for more: others pass.
    """

    def __init__(
        self,
        name: str,
        spawn: Spawn,
        *,
        limit: int,
        idle: float,
        patience: float,
    ) -> None:
        self._name = name
        self._spawn = spawn
        self._limit = limit
        self._idle = idle
        self._patience = patience
        # For sessions that one call has at a time there are several of one key, in turns that are not 0.
        self._entries: dict[tuple[Key, int], _Entry] = {}
        self._turns = itertools.count(1)
        self._share = max(1, limit // 2)
        # Each lives as long as somebody has a place by it, or waits for one.
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._queue = asyncio.Lock()
        self._changed = asyncio.Event()
        self._wanting = False
        self._ending = False
        self._closing = 0

    def __len__(self) -> int:
        return len(self._entries)

    @asynccontextmanager
    async def session(self, key: Key, make: Make, *, alone: str | None = None) -> AsyncIterator[Opened]:
        """Lend the session of this key, opened by `make` if there is none.

        With `alone`, the caller's name, it is one that nobody else has meanwhile. Raises UpstreamUnavailable, or the
        Refusal that `make` raised: no call was sent then.
        """
        end = asyncio.get_running_loop().time() + self._patience
        async with nullcontext() if alone is None else self._shared(alone, end):
            entry = await self._entry(key, make, end, alone=alone is not None)
            entry.users += 1
            try:
                yield await self._opened(entry, end)
            except BaseException:
                if alone is not None:
                    # What such a call left behind in it, a late question above all, must not meet the next one.
                    self._drop(entry)
                raise
            finally:
                entry.users -= 1
                entry.last = asyncio.get_running_loop().time()
                if not entry.usable or (self._ending and entry.users == 0):
                    self._drop(entry)
                self._changed.set()

    @asynccontextmanager
    async def _shared(self, caller: str, end: float) -> AsyncIterator[None]:
        """One of the places that this caller may have alone, for as long as the block lasts."""
        share = self._shares.setdefault(caller, asyncio.Semaphore(self._share))
        try:
            async with asyncio.timeout_at(end):
                await share.acquire()
        except TimeoutError:
            raise Spent(self._name, self._share) from None
        try:
            yield
        finally:
            share.release()

    @asynccontextmanager
    async def hold(self, key: Key, make: Make) -> AsyncIterator[Opened]:
        """The session of this key, for as long as it lives: it does not end for idleness meanwhile.

        A call that needs a place takes that of a session which is held alone, as it would take that of an idle one.
        """
        async with self.session(key, make) as opened:
            entry = self._entries.get((key, 0))
            if entry is not None:
                entry.holders += 1
        try:
            yield opened
        finally:
            if entry is not None:
                entry.holders -= 1
                entry.last = asyncio.get_running_loop().time()

    async def end(self) -> None:
        """End idle sessions now, and from now on each other as soon as it is idle. Returns when there is none left."""
        self._ending = True
        for entry in list(self._entries.values()):
            if entry.users == 0:
                self._drop(entry)
        while self._entries or self._closing:
            self._changed.clear()
            await self._changed.wait()

    async def tend(self) -> None:
        """End idle sessions, for ever. To be run beside the pool."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.05, min(30.0, self._idle / 4)))
            for entry in list(self._entries.values()):
                if (
                    entry.users == entry.holders == 0
                    and entry.ready.done()
                    and (not entry.usable or entry.last + self._idle <= loop.time())
                ):
                    self._drop(entry)
            self._changed.set()

    async def _opened(self, entry: _Entry, end: float) -> Opened:
        if entry.session is not None:
            return entry.session
        try:
            async with asyncio.timeout_at(end):
                # Shielded: the session is opened for all that wait for it, whoever leaves.
                return await asyncio.shield(entry.ready)
        except TimeoutError:
            raise unavailable(self._name, f"its session did not open within {self._patience:g} s") from None

    async def _entry(self, key: Key, make: Make, end: float, *, alone: bool) -> _Entry:
        entry = None if alone else self._entries.get((key, 0))
        if self._wanting and entry is not None:
            await self._give_way(entry)
            entry = self._entries.get((key, 0))
        if entry is not None and entry.usable:
            return entry
        try:
            async with asyncio.timeout_at(end), self._queue:
                while True:
                    entry = self._free(key) if alone else self._entries.get((key, 0))
                    if entry is not None and entry.usable:
                        return entry
                    if self._vacancy(entry):
                        return self._add(key, next(self._turns) if alone else 0, make)
                    await self._wait()
        except TimeoutError:
            raise Busy(self._name, self._limit) from None

    def forget(self, fingerprint: bytes) -> None:
        """End every session that was handed what has this fingerprint: it must serve no other call."""
        for entry in [one for one in self._entries.values() if one.key.fingerprint == fingerprint]:
            self._drop(entry)

    def _free(self, key: Key) -> _Entry | None:
        """A session of this key that nobody has; one that is of no use any more only where there is no other."""
        idle = [entry for entry in self._entries.values() if entry.key == key and entry.users == 0 and entry.turn]
        return max(idle, key=lambda entry: entry.usable, default=None)

    async def _wait(self) -> None:
        """Wait for one session more or less in use, the first in the queue that is waited for."""
        self._wanting = True
        try:
            self._changed.clear()
            await self._changed.wait()
        finally:
            self._wanting = False
            self._changed.set()

    async def _give_way(self, entry: _Entry) -> None:
        """Let who waits have this session, if its calls end soon; or any other that becomes free."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GIVE_WAY_SECONDS):
                while self._wanting and entry.usable:
                    self._changed.clear()
                    await self._changed.wait()

    def _vacancy(self, replaced: _Entry | None) -> bool:
        if replaced is not None:
            self._drop(replaced)
        if len(self._entries) < self._limit:
            return True
        idle = [entry for entry in self._entries.values() if entry.users == 0 and entry.ready.done()]
        if not idle:
            return False
        self._drop(min(idle, key=lambda entry: entry.last))
        return True

    def _add(self, key: Key, turn: int, make: Make) -> _Entry:
        loop = asyncio.get_running_loop()
        entry = _Entry(key, turn, loop.create_future(), last=loop.time())
        entry.ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self._entries[key, turn] = entry
        self._spawn(self._open, entry, make)
        return entry

    async def _open(self, entry: _Entry, make: Make) -> None:
        try:
            session = await make()
        except Refusal as refusal:
            entry.ready.set_exception(refusal)
        else:
            entry.ready.set_result(session)
            entry.last = asyncio.get_running_loop().time()
            if self._entries.get((entry.key, entry.turn)) is not entry:
                # Given up while it was being opened.
                self._close_later(session)
        finally:
            if not entry.ready.done():
                entry.ready.set_exception(unavailable(self._name, "its session could not be opened"))
            if entry.session is None:
                self._drop(entry)

    def _drop(self, entry: _Entry) -> None:
        if self._entries.get((entry.key, entry.turn)) is entry:
            del self._entries[entry.key, entry.turn]
            session = entry.session
            if session is not None:
                self._close_later(session)
        self._changed.set()

    def _close_later(self, session: Opened) -> None:
        self._closing += 1
        self._spawn(self._close, session)

    async def _close(self, session: Opened) -> None:
        try:
            await session.close()
        finally:
            self._closing -= 1
            self._changed.set()
