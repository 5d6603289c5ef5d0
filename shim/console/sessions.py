"""Who is signed in at a browser, kept by that browser: sealed, so that every process of a store can read it.

The cookie holds no token. It names the credential that was shown, so that it ends when that one is revoked, and it ends
by itself soon.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shim.model import Credential
from shim.sealed import Sealer

SECONDS: Final = 15 * 60
"""How long somebody stays signed in at most."""

_ABOUT: Final = b"person"
_LONGEST: Final = 3000
_ID: Final = 200
"""Characters of a credential's id that are kept: all of a token's. A JWT is told by the first few."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who showed which credential, signed in until when (seconds since the epoch). `nonce` is of this one sign-in."""

    credential: str
    identity: str
    until: float
    nonce: str


class Sessions:
    """Makes what a browser keeps, and reads it.

    `key` is one that all processes of the store have, and the store has not; only what is derived from it is used.
    `random` gives that many unpredictable bytes, `clock` seconds since the epoch.
    """

    def __init__(self, key: bytes, random: Callable[[int], bytes], clock: Callable[[], float]) -> None:
        self._sealer = Sealer(key, "mcp-shim console", random)
        self._forms = HKDF(hashes.SHA256(), length=32, salt=None, info=b"mcp-shim forms").derive(key)
        self._random = random
        self._clock = clock

    def begin(self, credential: Credential) -> str:
        """What the browser keeps of somebody who showed this credential just now: text for a cookie."""
        until = self._clock() + SECONDS
        if credential.ends is not None:
            until = min(until, credential.ends.timestamp())
        person = Person(credential.id[:_ID], credential.identity.name, until, self._random(16).hex())
        sealed = self._sealer.seal(_ABOUT, asdict(person))
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def read(self, kept: str) -> Person | None:
        """Who that is; None for what was not made here, and for what is over."""
        if len(kept) > _LONGEST:
            return None
        try:
            sealed = base64.b64decode(kept + "=" * (-len(kept) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        said = self._sealer.open(_ABOUT, sealed)
        if said is None:
            return None
        person = Person(**said)
        return person if self._clock() < person.until else None

    def mark(self, person: Person, ticket: str) -> str:
        """What a form of this person for this ticket says, which no other site can know."""
        said = json.dumps([person.nonce, ticket]).encode()
        return hmac.digest(self._forms, said, "sha256").hex()

    def is_marked(self, person: Person, ticket: str, mark: str) -> bool:
        """Whether a form comes from a page that this person was shown for this ticket."""
        return hmac.compare_digest(self.mark(person, ticket).encode(), mark.encode())
