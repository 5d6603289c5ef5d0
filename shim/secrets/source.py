"""What a source of secrets is: one place that is asked for a credential when a call needs it, and revokes it after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from shim.model import Json, JsonObject
from shim.secrets.given import Given
from shim.units import Block

K = TypeVar("K", bound=Block, contravariant=True)

MAX_BYTES = 64 * 1024
"""No secret is longer, whatever its source holds."""

PATIENCE = 10.0
"""Seconds that a source has to answer, however many fields are asked for."""


class Unavailable(Exception):
    """A source does not give a value. `str()` completes "The secret NAME is not available: ..." for whoever runs the
    shim: why, and what to do; without a full stop at its end.

    It may name files, variables and addresses, and never holds a value or a part of one, nor anything else that the
    source itself has to prove who it is.
    """


class Wanted(Unavailable):
    """A person has not given what is asked for, or it is of no use any more: they can be asked for it."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a source is handed: nothing of it is read from the process itself. `random` gives that many bytes.

    `given` keeps what people gave; None where nothing is recorded. `sources` are those that there are, by name.
    """

    environment: Mapping[str, str] = field(repr=False)
    clock: Callable[[], datetime]
    random: Callable[[int], bytes] = field(repr=False)
    new_id: Callable[[], str]
    given: Given | None = None
    sources: Callable[[str], object] = lambda _: None


@dataclass(frozen=True, slots=True)
class Purpose:
    """Whom and what one lease is for: all that a source may know of a call.

    `identity` None: the shim's own reading of a catalog. `tool` (the real `upstream/tool`) and `invocation` are None
    too where a lease is for more than one call. `token` is the caller's own access token, where it has shown one (a
    JWT); `ttl` the seconds after which the lease ends at the latest, None: the source's own time. `secret` is its name.
    """

    lease: str
    identity: str | None = None
    claims: Mapping[str, Json] = field(default_factory=dict)
    tool: str | None = None
    invocation: str | None = None
    arguments: JsonObject | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ttl: float | None = None
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Issued:
    """One credential: the value of each field that was asked for (None: what the secret means without a field).

    `expires` None: it lives until somebody changes it (it is long-lived). `revocation` is what `revoke` needs to end
    it, also in another process: it is kept sealed, so it may hold a token. None: there is nothing to revoke.
    `doubt` is called where whoever it was handed to does not accept it, and may raise what sources raise.
    """

    values: Mapping[str | None, str] = field(repr=False)
    expires: datetime | None = None
    revocation: JsonObject | None = field(default=None, repr=False)
    doubt: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)


class Source(Protocol[K]):
    """One source as it is configured. Its methods may be called at the same time, never block the event loop, can be
    cancelled at any time, and raise Unavailable and nothing else.
    """

    async def prepare(self, secret: K, purpose: Purpose) -> JsonObject | None:
        """What `revoke` needs should this process end in the middle of `issue`: kept, sealed, before that is called.

        None: `issue` makes nothing that outlives the call.
        """

    async def issue(self, secret: K, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        """Ask for a credential. Where this raises or is cancelled, `revoke` is called with what `prepare` gave."""

    async def revoke(self, revocation: JsonObject, *, orphaned: bool) -> None:
        """End what was issued; nothing to do for what is over already. Called again later when it raises.

        `revocation` is that of `Issued`, or that of `prepare` where the end of `issue` is not known. `orphaned`: the
        process that asked for it is gone.
        """

    async def close(self) -> None:
        """The process ends, or it is configured no more, and all its leases are over: end what it has itself."""


class LongLived:
    """The part of a source whose values live until somebody changes them: there is nothing to revoke."""

    async def prepare(self, secret: Block, purpose: Purpose) -> None:  # noqa: ARG002 (see `Source`)
        return None

    async def revoke(self, revocation: JsonObject, *, orphaned: bool) -> None:
        """Nothing was issued."""

    async def close(self) -> None:
        """Nothing is held."""
