"""Whether a JWT is an access token of the issuer for this server, and what it then says (RFC 9068, RFC 8725)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shim.errors import Unauthenticated
from shim.identity.claims import Terms, check, credential_id, scopes_of
from shim.identity.compact import Compact, read
from shim.identity.keys import FITS
from shim.identity.ring import KeyRing
from shim.model import JsonObject


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token proves. `ends` is in seconds since the epoch, `version` that of the keys that checked it."""

    id: str
    claims: JsonObject
    scopes: frozenset[str]
    ends: float
    version: int


class Verifier:
    """Judges JWTs by the keys that are known now; `prepare` is where the issuer may be asked for others."""

    def __init__(
        self,
        terms: Terms,
        algorithms: Iterable[str],
        ring: KeyRing,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives seconds since the epoch. Raises ValueError for an algorithm that can never be allowed."""
        self._terms = terms
        self._algorithms = frozenset(algorithms)
        if not self._algorithms or not self._algorithms <= FITS.keys():
            raise ValueError("only asymmetric signature algorithms can be allowed")
        self._ring = ring
        self._clock = clock

    def holds(self, verified: Verified) -> bool:
        """Whether what was verified before still is."""
        return verified.version == self._ring.version and self._clock() < verified.ends

    @property
    def is_fresh(self) -> bool:
        """Whether nothing is to be prepared for a token that was verified before."""
        return self._ring.is_fresh

    async def prepare(self, token: str) -> None:
        """Have the keys at hand that this token needs. Nobody is asked for a token that is refused anyway."""
        try:
            compact, _ = self._read(token)
        except Unauthenticated:
            return
        await self._ring.look(compact.kid, compact.algorithm)

    async def renew(self) -> None:
        """See `KeyRing.renew`."""
        await self._ring.renew()

    def verify(self, token: str) -> Verified:
        """What a token proves. Raises Unauthenticated."""
        compact, ends = self._read(token)
        version = self._ring.version
        keys = self._ring.keys(compact.kid, compact.algorithm)
        if not keys:
            raise Unauthenticated(self._unknown())
        if not any(key.checks(compact.algorithm, compact.signed, compact.signature) for key in keys):
            raise Unauthenticated("a JWT whose signature is wrong")
        claims = compact.claims
        return Verified(credential_id(claims), claims, scopes_of(claims), ends, version)

    def _read(self, token: str) -> tuple[Compact, float]:
        compact = read(token)
        if compact.algorithm not in self._algorithms:
            raise Unauthenticated("a JWT with an algorithm that is not allowed")
        return compact, check(compact, self._terms, self._clock())

    def _unknown(self) -> str:
        trouble = self._ring.trouble
        if trouble is not None:
            return f"a JWT whose key is not known while the issuer cannot be asked: {trouble}"
        return "a JWT of a key that the issuer does not have"
