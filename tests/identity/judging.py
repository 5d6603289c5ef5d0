"""A verifier with its ring, clock and issuer in memory: what one JWT is worth, and why it is refused."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from shim.errors import Unauthenticated
from shim.identity.claims import Terms
from shim.identity.fetching import KeysUnavailable
from shim.identity.jwt import Verifier
from shim.identity.keys import Key, keys_of
from shim.identity.ring import KeyRing
from shim.model import JsonObject
from tests.identity.issuer import AUDIENCE, AnyKey, public

ISSUER = "https://idp.test"
DEFAULT = ("RS256", "ES256", "EdDSA")


@dataclass
class Bench:
    """`published` is what the issuer has now; `down` why it does not answer; `now` moves both clocks."""

    published: list[JsonObject]
    algorithms: tuple[str, ...] = DEFAULT
    now: float = field(default_factory=time.time)
    down: str | None = None
    fetches: int = 0

    def __post_init__(self) -> None:
        self.ring = KeyRing(self._fetch, now=lambda: self.now)
        self.verifier = Verifier(Terms(ISSUER, AUDIENCE), self.algorithms, self.ring, clock=lambda: self.now)

    async def _fetch(self) -> tuple[Key, ...]:
        self.fetches += 1
        if self.down is not None:
            raise KeysUnavailable(self.down)
        return keys_of({"keys": self.published})

    async def why(self, token: str) -> str | None:
        """Why a token is refused; None: it is not."""
        await self.verifier.prepare(token)
        try:
            self.verifier.verify(token)
        except Unauthenticated as error:
            return error.why
        return None


def bench(*keys: AnyKey, algorithms: tuple[str, ...] = DEFAULT) -> Bench:
    return Bench([public(key) for key in keys], algorithms)
