"""What a call is lent, and what people give: the values and interfaces of secrets, without how they are had."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from shim.model import Call, Caller, Json, JsonObject, Lease


@dataclass(frozen=True, slots=True)
class Need:
    """One value that an upstream wants: how its configuration refers to it, and the secret that stands behind that.

    `reference` is `NAME` or `NAME.FIELD`; NAME is what a caller may learn of it. `field` None: what the secret means
    without a field. `travels`: it goes with one request alone, and no session has it.
    """

    reference: str
    secret: str
    field: str | None = None
    travels: bool = False


class Scrubber(Protocol):
    """Takes the values of all leases that are alive out of what goes on to a caller: `[secret:NAME]` stands there.

    None of them changes what it is given; where nothing was found, the same comes back. `found`: how many so far, by
    what stands in their place.
    """

    @property
    def found(self) -> Mapping[str, int]: ...

    def text(self, text: str) -> str: ...

    def json(self, value: Json) -> Json:
        """Any JSON value, keys too."""

    def result(self, result: JsonObject) -> JsonObject:
        """A result: as `json`, and what is split over neighbouring blocks or inside of binary ones."""


@dataclass(frozen=True, slots=True)
class Leased:
    """The values that were issued, by reference; and what tells one set of values from another without telling them.

    `fingerprint` is keyed for this process alone, of what sessions have, and empty where that is nothing. `long_lived`:
    that holds until somebody changes it, so that nothing that has it need end with the lease.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    fingerprint: bytes = b""
    long_lived: bool = True


class Leases(Protocol):
    """The leases of one call, or of one reading of a catalog: while their block lasts, and no longer.

    `scrubber` knows the values of every lease that is alive while the block lasts, whoever has it.
    """

    @property
    def scrubber(self) -> Scrubber: ...

    @property
    def issued(self) -> tuple[Lease, ...]:
        """All that were issued so far, also when another could not be."""

    async def take(self) -> Leased:
        """Ask the sources. Raises SecretUnavailable: then nothing may be called. May be called again after that."""

    async def news(self, seconds: float) -> None:
        """Return as soon as some person gave something, but after so many seconds at the latest."""

    async def doubt(self) -> None:
        """The upstream accepts none of what was taken: what people gave of it is not to be used again as it is."""


class Secrets(Protocol):
    """Issues leases. `are_given`: whether there are any that people have to give."""

    @property
    def are_given(self) -> bool: ...

    def leased(
        self, needs: Sequence[Need], caller: Caller | None = None, call: Call | None = None
    ) -> AbstractAsyncContextManager[Leases]:
        """Leases of these, none issued before they are taken. What can be revoked is, at the end of the block.

        They are the `caller`'s, for that `call` alone where it is one; without a caller, for reading a catalog.
        """

    def hiding(self, handed: Mapping[str, str]) -> Callable[[str], str]:
        """What takes these values, by reference, and those of all leases that are alive, out of one writer's lines."""


@dataclass(frozen=True, slots=True)
class Want:
    """What one person is asked for. `url`: where they get it, https only.

    `is_consent`: nothing is typed in; the browser goes to the upstream's authorization server.
    """

    identity: str
    secret: str
    prompt: str
    url: str | None
    is_consent: bool


class Giving(Protocol):
    """Takes credentials that only a person can give, each for a ticket, which is one segment of a URL.

    It never trusts a ticket alone: `identity` is who was authenticated, and has to be the ticket's.
    """

    def want(self, ticket: str) -> Want | None:
        """What a ticket asks for; None for one that is unknown, expired, or of nobody here."""

    async def give(self, ticket: str, identity: str, value: str) -> None:
        """Keep what the person typed in. Raises Unfit, whose text is for them, and NotTheirs."""

    async def consent(self, ticket: str, identity: str, back: str) -> str:
        """Where the browser goes to consent; from there it comes to the URL `back`. Raises Unfit and NotTheirs."""

    async def agreed(
        self, state: str, identity: str, back: str, code: str | None, error: str | None, iss: str | None
    ) -> Want:
        """The browser came back, with these parameters: keep what the server gives. Raises Unfit and NotTheirs."""
