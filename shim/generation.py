"""The configuration in force: all that one request is answered by, and the one place that says which it is.

A request belongs to one generation: who sends it, what that identity may see and do, and which upstreams are reached
are read from the same. Whoever holds a generation may go on with it after another took its place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from shim.errors import Unauthenticated
from shim.gateway import Gateway
from shim.lending import Giving
from shim.model import Caller, Credential, Identity
from shim.views import Digests


class Authenticator(Protocol):
    """Knows credentials. Asked on every request, so that a revoked token ends with the next one."""

    async def prepare(self, token: str) -> None:
        """Have at hand what it takes to judge a token; raises nothing. Without it `bearer` judges by what is known."""
        ...

    async def renew(self) -> None:
        """Look again at what credentials are judged by, where that is elsewhere and some time ago; raises nothing."""
        ...

    def bearer(self, token: str) -> Credential:
        """The credential behind a bearer token. Raises Unauthenticated."""
        ...

    def again(self, identity: Identity) -> Identity | None:
        """An identity that was proved before, as it is by this configuration; None: it is nobody any more."""
        ...

    def still(self, credential: str, name: str) -> bool:
        """Whether the credential of this id, proved before and within its `ends`, still is that of the identity."""
        ...

    def local(self, name: str) -> Credential:
        """The credential of an identity that needs no token on this machine. Raises Unauthenticated for any other."""
        ...

    def anonymous(self) -> Credential | None:
        """The credential of a request that shows none, or None where there is no such identity."""
        ...


Prove: TypeAlias = Callable[[Authenticator], Credential]
"""Shows again what a sender has shown. Raises Unauthenticated where it proves nothing, or nothing any more."""

Ready: TypeAlias = Callable[[], Awaitable[tuple[bool, dict[str, str]]]]
"""Whether this process can do its work, and how each upstream stands."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One configuration at work. `instructions` are what an identity is told of the upstreams it may see.

    `scopes` are the OAuth scopes that nothing works without. `giving` takes what people give; None: nobody is asked.
    """

    gateway: Gateway
    authenticator: Authenticator
    instructions: Callable[[Identity], str | None]
    ready: Ready
    scopes: tuple[str, ...] = ()
    giving: Giving | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a request, in the generation to which the request belongs; `prove` tells who that is in another."""

    generation: Generation
    credential: Credential
    prove: Prove


class Current:
    """Owns which generation is in force: read once for each request, replaced between two of them."""

    def __init__(self, first: Generation) -> None:
        self._now = first
        self._watchers: set[Callable[[], None]] = set()
        self._end = first.gateway.watch(self._ring)

    @property
    def now(self) -> Generation:
        """What a request that is complete now belongs to."""
        return self._now

    def sender(self, prove: Prove) -> Sender:
        """Who shows this, in the generation of now. Raises Unauthenticated."""
        generation = self._now
        return Sender(generation, prove(generation.authenticator), prove)

    def replace(self, generation: Generation) -> None:
        """Put another in force, and tell who watches: what an identity sees may have changed."""
        self._end()
        self._now = generation
        self._end = generation.gateway.watch(self._ring)
        self._ring()

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Have `watcher` called when the catalog or the generation changed; the returned function ends that."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def knows(self, prove: Prove) -> bool:
        """Whether a sender is still somebody."""
        try:
            prove(self._now.authenticator)
        except Unauthenticated:
            return False
        return True

    def seen_by(self, prove: Prove) -> Digests | None:
        """The digests of what a sender would be shown now; None where it is nobody any more."""
        return self.seen_as(self.sender(prove).credential.identity) if self.knows(prove) else None

    def seen_as(self, identity: Identity) -> Digests | None:
        """The digests of what an identity that was proved before would be shown now; None where it is nobody."""
        now = self._now.authenticator.again(identity)
        return self._now.gateway.view(now).digests if now is not None else None

    def may_hear(self, caller: Caller, ref: str, uri: str) -> bool:
        """Whether a caller of some time ago may be told now that this resource changed."""
        identity = self._now.authenticator.again(caller.identity)
        if identity is None:
            return False
        now = replace(caller, credential=replace(caller.credential, identity=identity))
        return self._now.gateway.hearing.may(now, ref, uri)

    def _ring(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()
