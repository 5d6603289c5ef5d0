"""What is alive of leases in this process: asked for, shared where their scope is wider than a call, and ended."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import anyio
from anyio.abc import TaskGroup

from shim.secrets.alive import Alive
from shim.secrets.asking import Asking
from shim.secrets.config import SourceBlock
from shim.secrets.ending import Ending
from shim.secrets.faults import where
from shim.secrets.held import Asked, Held
from shim.secrets.ledger import Ledger
from shim.secrets.lines import LineScrubber
from shim.secrets.logs import hidden_in_logs
from shim.secrets.noticing import Noticing
from shim.secrets.patterns import Patterns
from shim.secrets.source import PATIENCE, Around, Source, Unavailable
from shim.secrets.sources import Sources
from shim.secrets.tickets import Tickets

_log = logging.getLogger("shim.secrets")

_SWEEP = 15.0
_STOPPING = 10.0
_COMPILED = 256
_MOST = 64
"""Shared leases of one secret that one identity has at once: who begins runs without end has no more than these."""


class Issuer:
    """Owns every lease of this process, and the sources. `running` is its life.

    Without a ledger, for verbs that record nothing, nothing is written; each lease is ended all the same.
    `forget` is told the fingerprint of values that ended: nothing that has them may serve another call.
    """

    def __init__(
        self,
        around: Around,
        *,
        ledger: Ledger | None = None,
        tickets: Tickets | None = None,
        patience: float = PATIENCE,
        forget: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """`patience`: the seconds that the source of each secret has to answer; `tickets` lead people to its page."""
        self.alive = Alive()
        self.tickets = tickets
        self.given = around.given
        self.forget = forget
        self._around = replace(around, sources=self.source)
        self.sources = Sources(self._around)
        self._patience = patience
        self._key = around.random(32)
        self._held: dict[str, Held] = {}
        self._shared: dict[Hashable, asyncio.Future[Held]] = {}
        self._ending = Ending(ledger, self.sources)
        self._asking = Asking(around, ledger, self._ending, patience)
        self._compiled: dict[bytes, Patterns] = {}
        self._noticing = Noticing(ledger, self._held, self._end) if ledger is not None else None
        self._look = 0.0
        self._sooner = asyncio.Event()
        self._group: TaskGroup | None = None

    def know(self, blocks: Mapping[str, SourceBlock], made: Mapping[str, Source[Any]]) -> None:
        """These sources, which `sources` made, are configured from now on."""
        for source in self.sources.put_in_force(blocks, made):
            if self._group is not None:
                self._group.start_soon(self._let_go, source)

    def fingerprint(self, values: Mapping[str, str]) -> bytes:
        """What tells these values from others, and nothing about them to anyone without this process's key."""
        digest = hmac.new(self._key, digestmod="sha256")
        for reference, value in sorted(values.items()):
            for text in (reference.encode(), value.encode()):
                digest.update(len(text).to_bytes(8, "big") + text)
        return digest.digest()

    def hiding(self, handed: Mapping[str, str]) -> LineScrubber:
        """See `shim.lending.Secrets`."""
        return LineScrubber(handed, lambda: self.alive.since(None))

    async def have(self, asked: Asked) -> Held:
        """A lease: the shared one that is there, or one that is issued now. Raises Unavailable.

        What comes too late for this is ended when it comes, or, where it is shared, there for the next.
        """
        if self._group is None:
            return await self._issue(asked)
        try:
            async with asyncio.timeout(self._patience):
                return await self._have(asked)
        except TimeoutError:
            raise Unavailable(f"its source ({asked.source}) did not answer within {self._patience:g} s") from None

    async def _have(self, asked: Asked) -> Held:
        key = asked.shared
        assert self._group is not None
        if key is None:
            return await self._apart(self._issue(asked))
        if key in self._shared and self._noticing is not None:
            await self._noticing.ask()
        there = self._shared.get(key)
        if there is None or (there.done() and not _is_usable(there)):
            there = asyncio.get_running_loop().create_future()
            there.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._shared[key] = there
            self._group.start_soon(self._fill, there, asked)
        return await asyncio.shield(there)

    async def release(self, held: Iterable[Held]) -> None:
        """The block is over for which these were issued: end those that were for it alone, however long that takes
        their sources, up to 5 s; what could not be revoked by then goes on to be.
        """
        own = [one for one in held if one.shared is None]
        if own:
            with anyio.CancelScope(shield=True):
                await asyncio.gather(*(self._end(one, "the call is over") for one in own))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Leases end in time and orphans are revoked while the block lasts, and no value of one is logged; at its end
        everything is revoked.
        """
        # Not in its own `async with`: that would wrap what the block raises.
        group = await anyio.create_task_group().__aenter__()
        self._group = group
        group.start_soon(self._keep)
        if self._noticing is not None:
            group.start_soon(self._noticing.keep)
        try:
            with hidden_in_logs(self.hiding({})):
                yield
        finally:
            self._group = None
            with anyio.CancelScope(shield=True), anyio.move_on_after(_STOPPING):
                await asyncio.gather(*(self._end(one, "the process stops") for one in [*self._held.values()]))
                await self._ending.again(self._held, self._let_go)
            group.cancel_scope.cancel()
            await group.__aexit__(None, None, None)
            await self.close()

    async def close(self) -> None:
        """End what the sources have themselves."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(_STOPPING):
            await self.sources.close(self._lending())

    def source(self, name: str) -> Source[Any] | None:
        """The source that is configured under a name."""
        return self.sources.get(name)

    async def doubt(self, held: Iterable[Held]) -> None:
        """Whoever was handed these does not accept them: what people gave of them is asked for anew."""
        for one in held:
            if one.doubt is not None:
                try:
                    await one.doubt()
                except Unavailable as error:
                    _log.warning("the lease %s of %s was not accepted: %s", one.lease.id, one.lease.source, error)
                await self._end(one, "the upstream does not accept it")

    async def revoke(self, lease: str) -> bool:
        """End a lease of this process now, whoever uses it. False where it has none of that id."""
        held = self._held.get(lease)
        if held is not None:
            await self._end(held, "it was revoked by hand")
        return held is not None

    async def _apart(self, work: Coroutine[Any, Any, Held]) -> Held:
        """Run in a task of its own, so that who leaves meanwhile leaves a whole lease, which is ended at once."""
        assert self._group is not None
        answer: asyncio.Future[Held] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                held = await self._guarded(work)
            except Unavailable as error:
                if not answer.done():
                    answer.set_exception(error)
            else:
                if answer.cancelled():
                    await self._end(held, "its caller left")
                else:
                    answer.set_result(held)

        self._group.start_soon(run)
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                with anyio.CancelScope(shield=True):
                    await self._end(answer.result(), "its caller left")
            answer.cancel()
            raise

    async def _guarded(self, work: Coroutine[Any, Any, Held]) -> Held:
        """The boundary of a source that breaks its word: what nobody foresaw refuses one call, and no more."""
        try:
            return await work
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 (see above)
            _log.error("a source of secrets failed: %s", where(error))
            raise Unavailable("its source failed; see the log") from None

    async def _fill(self, there: asyncio.Future[Held], asked: Asked) -> None:
        try:
            held = await self._guarded(self._issue(asked))
        except Unavailable as error:
            if self._shared.get(asked.shared) is there:
                del self._shared[asked.shared]
            there.set_exception(error)
        else:
            there.set_result(held)
        finally:
            if not there.done():
                there.cancel()

    async def _let_go(self, source: Source[Any]) -> None:
        await self.sources.let_go(source, self._lending())

    def _lending(self) -> Iterator[Source[Any]]:
        """The sources of which leases are alive."""
        yield from (held.source for held in self._held.values())
        yield from self._ending.sources

    async def _issue(self, asked: Asked) -> Held:
        try:
            with self.sources.asking(asked.of):
                # Without a life of its own nothing goes on after who waits for it.
                held = await self._asking.issue(asked, late=self._group is not None)
                await self._hold(held, asked)
        finally:
            await self._let_go(asked.of)
        return held

    async def _hold(self, held: Held, asked: Asked) -> None:
        hidden = {
            asked.shown if name is None else f"{asked.shown}.{name}": value
            for name, value in held.values.items()
            if name is None or name not in asked.public
        }
        self.alive.add(held.lease.id, self._patterns(hidden) if held.lease.long_lived else Patterns(hidden))
        held.shared = asked.shared if self._group is not None else None
        self._held[held.lease.id] = held
        if held.ends is not None and held.ends < self._look:
            self._sooner.set()
        if held.shared is not None:
            await self._thin(held)

    async def _thin(self, new: Held) -> None:
        """End the oldest of the shared leases of one identity for one secret, where there are too many."""
        alike = [
            one
            for one in self._held.values()
            if one.shared is not None and (one.identity, one.lease.secret) == (new.identity, new.lease.secret)
        ]
        for one in alike[:-_MOST]:
            await self._end(one, f"the identity has {_MOST} newer ones of this secret")

    def _patterns(self, hidden: Mapping[str, str]) -> Patterns:
        """Of what lives until somebody changes it: compiled once, for it is leased again with each call."""
        key = self.fingerprint(hidden)
        patterns = self._compiled.pop(key, None) or Patterns(hidden)
        self._compiled[key] = patterns
        if len(self._compiled) > _COMPILED:
            del self._compiled[next(iter(self._compiled))]
        return patterns

    async def _end(self, held: Held, why: str) -> None:
        if held.over:
            return
        held.over = True
        lease = held.lease
        self._held.pop(lease.id, None)
        if held.shared is not None and (there := self._shared.get(held.shared)) and _is_of(there, held):
            del self._shared[held.shared]
        if not lease.long_lived:
            for fingerprint in held.fingerprints:
                self.forget(fingerprint)
        if held.revocation is not None:
            await self._ending.revoke(lease.id, lease.source, held.source, held.revocation, why)
        self.alive.remove(lease.id)
        await self._let_go(held.source)

    async def _keep(self) -> None:
        """End leases in time; and look, from time to time, after what could not be ended, and after orphans."""
        time = asyncio.get_running_loop().time
        due = float("-inf")
        while True:
            self._sooner.clear()
            try:
                for held in [one for one in self._held.values() if one.ends is not None and one.ends <= time()]:
                    await self._end(held, "its time is over")
                if time() >= due:
                    due = time() + _SWEEP
                    due = min(due, time() + await self.tidy())
            except Exception as error:  # noqa: BLE001 (the boundary of a background task)
                _log.error("looking after leases failed, and is tried again: %s", where(error))
            self._look = min((one.ends for one in self._held.values() if one.ends is not None), default=due)
            self._look = min(self._look, due)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._look):
                    await self._sooner.wait()

    async def tidy(self) -> float:
        """Revoke what could not be revoked before, and what processes left behind that are gone; the seconds until
        something more of that can be (infinite where nothing is known of).
        """
        await self._ending.again(self._held, self._let_go)
        return await self._ending.sweep(self._around.clock())


def _is_of(there: asyncio.Future[Held], held: Held) -> bool:
    return there.done() and not there.cancelled() and there.exception() is None and there.result() is held


def _is_usable(there: asyncio.Future[Held]) -> bool:
    if there.cancelled() or there.exception() is not None:
        return False
    held = there.result()
    return not held.over and (held.ends is None or held.ends - asyncio.get_running_loop().time() > 1.0)
