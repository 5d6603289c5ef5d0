"""Hearing of changed resources: of the sessions of each owner one hears what its wants are about, while it has any."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from functools import partial

from shim.errors import Refusal
from shim.model import Call, Offered, Reply, Subscriber
from shim.upstream.backoff import Backoff
from shim.upstream.calls import Calls
from shim.upstream.condition import Condition
from shim.upstream.failures import timed_out, unavailable
from shim.upstream.hearing import ANSWERED, Hearing
from shim.upstream.surroundings import Surroundings
from shim.upstream.wants import Want, Wants

_LONGEST_PAUSE = 10.0


class Subscribing:
    """Has the wants of one upstream heard. What went unheard because a session was lost is told afterwards."""

    def __init__(
        self, name: str, wants: Wants, calls: Calls, condition: Condition, around: Surroundings, limit: int
    ) -> None:
        self._name = name
        self._wants = wants
        self._calls = calls
        self._condition = condition
        self._around = around
        self._limit = limit
        self._hearings: dict[Hashable, Hearing] = {}
        self._ended = False
        self._unwatch = wants.watch(self._look)
        for want in wants:
            self._look(want)

    async def subscribe(self, call: Call, target: Offered, subscriber: Subscriber) -> Reply:
        """One `resources/subscribe` for a recorded intent: the upstream's answer, once it is heard. Raises Refusals."""
        await self._condition.ready()
        if self._ended:
            raise self._gone()
        want = Want(call.caller, target.name, subscriber, call.bind)
        self._wants.add(want)
        try:
            async with asyncio.timeout(ANSWERED):
                reply = await self._hearings[self._owner_of(want)].answer(want.uri)
        except TimeoutError:
            self._wants.remove(want)
            raise timed_out(self._name, ANSWERED) from None
        except BaseException:
            self._wants.remove(want)
            raise
        if reply.error is not None:
            self._wants.remove(want)
        else:
            subscriber.heard(want.uri, partial(self._wants.remove, want))
        return reply

    def end(self) -> None:
        """Hear nothing any more, because this upstream is configured no more: another takes the wants over, or none."""
        self._ended = True
        self._unwatch()
        for hearing in self._hearings.values():
            hearing.look()

    def _look(self, want: Want) -> None:
        owner = self._owner_of(want)
        hearing = self._hearings.get(owner)
        if hearing is None and self._uris(owner):
            hearing = Hearing(self._name, self._limit, partial(self._tell, owner), partial(self._uris, owner))
            self._hearings[owner] = hearing
            self._around.spawn(self._hear, owner, want, hearing)
        if hearing is not None:
            hearing.look()

    def _owner_of(self, want: Want) -> Hashable:
        return self._calls.owner(want.caller), want.bind

    def _uris(self, owner: Hashable) -> set[str]:
        return set() if self._ended else self._wants.uris(owner, self._owner_of)

    def _tell(self, owner: Hashable, uri: str) -> None:
        self._wants.tell(uri, owner, self._owner_of)

    async def _hear(self, owner: Hashable, want: Want, hearing: Hearing) -> None:
        pauses, time = Backoff(self._around.random), asyncio.get_running_loop().time
        try:
            while self._uris(owner):
                began = time()
                try:
                    await self._condition.ready()
                    async with self._around.secrets.leased(self._calls.needs(want.bind), want.caller) as leases:
                        handed = self._calls.hand(await leases.take())
                        async with self._calls.held(want.caller, handed) as opened:
                            await hearing.keep(opened, handed)
                except Refusal as refusal:
                    hearing.fail(refusal)
                if self._uris(owner):
                    await asyncio.sleep(min(_LONGEST_PAUSE, pauses.after(time() - began)))
        finally:
            del self._hearings[owner]
            hearing.fail(self._gone())
            # Whose session hears a want may only be known once it is known which era the upstream speaks.
            for other in self._wants if not self._ended else ():
                self._look(other)

    def _gone(self) -> Refusal:
        return unavailable(self._name, "it is configured no more, or the shim is stopping")
