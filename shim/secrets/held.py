"""What a lease is asked for, and what there is of one while it is alive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shim.model import JsonObject, Lease, Scope
from shim.secrets.source import Purpose, Source
from shim.units import Block


@dataclass(frozen=True, slots=True)
class Asked:
    """What one lease is asked for.

    `of` is the source itself, as that configuration has it, `kind` its type there. `alike` tells the `keys` of one from
    those of another; `shown` is the name that stands in the place of its values; `cause` the invocation for which it is
    asked first; `person` tells callers of one identity apart where it is asked for by their claims or their token.
    """

    secret: str
    source: str
    kind: str
    of: Source[Any] = field(repr=False)
    keys: Block
    alike: str
    fields: frozenset[str | None]
    public: frozenset[str]
    scope: Scope
    run: str | None
    shown: str
    purpose: Purpose
    cause: str | None
    person: bytes = b""

    @property
    def shared(self) -> Hashable | None:
        """What calls that share one lease have in common; None: it is for one alone."""
        if self.scope == "call":
            return None
        return self.secret, id(self.of), self.alike, self.fields, self.purpose.identity, self.run, self.person


@dataclass(slots=True, eq=False)
class Held:
    """One lease that is alive, with its values."""

    lease: Lease
    values: Mapping[str | None, str] = field(repr=False)
    source: Source[Any]
    revocation: JsonObject | None = field(repr=False)
    ends: float | None
    shared: Hashable | None
    doubt: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    fingerprints: set[bytes] = field(default_factory=set, repr=False)
    over: bool = False
    identity: str | None = None
