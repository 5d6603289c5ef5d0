"""Tickets: by which a person finds what they are asked for, at a page of any process of the store.

Nothing is kept of them: all that one says is sealed in it, so that it shows nothing of anybody, and ends by itself. It
opens nothing either: whoever comes with one has to prove that they are the identity in it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from shim.model import JsonObject
from shim.sealed import Sealer

LIFE: Final = 600.0
"""Seconds for which a ticket is good, and those for which somebody may be at an authorization server."""
_LONGEST: Final = 4096
_USED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who is asked for which secret, until when (POSIX time)."""

    identity: str
    secret: str
    until: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """What has to come back with the browser: the ticket, where it was to come back to, and the PKCE verifier."""

    ticket: Ticket
    back: str
    verifier: str = field(repr=False)


class Tickets:
    """Makes them and reads them. `base` is what the addresses of the pages begin with; None: nobody shows them."""

    def __init__(self, key: bytes, random: Callable[[int], bytes], clock: Callable[[], datetime]) -> None:
        """`key` is one that all processes of the store have. Only what is derived of it is used."""
        self.base: str | None = None
        self._tickets = Sealer(key, "mcp-shim tickets", random)
        self._states = Sealer(key, "mcp-shim consents", random)
        self._random = random
        self._clock = clock
        self._used: dict[str, float] = {}

    def at(self, endpoint: str) -> None:
        """The pages are beside this endpoint of the server."""
        parts = urlsplit(endpoint)
        self.base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/mcp')}"

    def url(self, identity: str, secret: str) -> str | None:
        """Where this person gives this secret; None where there is no page."""
        if self.base is None:
            return None
        said: JsonObject = {"identity": identity, "secret": secret, "until": self._now() + LIFE}
        return f"{self.base}/give/{_text(self._tickets.seal(b'', said))}"

    def read(self, ticket: str) -> Ticket | None:
        """What a ticket says; None for one that is none, or over."""
        said = self._open(self._tickets, ticket)
        return Ticket(said["identity"], said["secret"], said["until"]) if said is not None else None

    def leaving(self, ticket: Ticket, back: str) -> tuple[str, Leaving]:
        """The state that goes to the authorization server and comes back, and what it says."""
        verifier = base64.urlsafe_b64encode(self._random(48)).decode("ascii")
        said = {
            "identity": ticket.identity,
            "secret": ticket.secret,
            "until": self._now() + LIFE,
            "back": back,
            "verifier": verifier,
        }
        return _text(self._states.seal(b"", said)), Leaving(ticket, back, verifier)

    def back(self, state: str) -> Leaving | None:
        """What comes back with a state; None for one that is none, or over."""
        said = self._open(self._states, state)
        if said is None:
            return None
        return Leaving(Ticket(said["identity"], said["secret"], said["until"]), said["back"], said["verifier"])

    def use(self, state: str) -> bool:
        """Use a state. False where this process has seen it used: its code is good for one use at its server anyway."""
        now = self._now()
        if len(self._used) >= _USED:
            self._used = {one: until for one, until in self._used.items() if until > now}
        if state in self._used:
            return False
        self._used[state] = now + LIFE
        return True

    def _open(self, sealer: Sealer, text: str) -> JsonObject | None:
        sealed = _bytes(text)
        said = sealer.open(b"", sealed) if sealed is not None else None
        return said if said is not None and said["until"] > self._now() else None

    def _now(self) -> float:
        return self._clock().timestamp()


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")


def _bytes(text: str) -> bytes | None:
    if len(text) > _LONGEST:
        return None
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # One spelling alone: else what was used once could be used again in another.
    return sealed if _text(sealed) == text else None
