"""Grants compiled once and indexed; the interface that the gateway relies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shim.model import Client, Decision, Identity, JsonObject
from shim.policy.config import GrantBlock


@dataclass(frozen=True, slots=True)
class Facts:
    """What a condition may look at, beside the identity and the tool."""

    args: JsonObject
    run: str
    client: Client | None
    now: datetime


class Policy:
    """Decides. Immutable once compiled."""

    def __init__(self, grants: Sequence[GrantBlock]) -> None:
        raise NotImplementedError

    def decide(self, identity: Identity, ref: str, facts: Facts) -> Decision:
        """The decision on one call of `upstream/tool`, whether or not any upstream has that tool."""
        raise NotImplementedError

    def visible(self, identity: Identity, ref: str) -> bool:
        """Whether some grant allows the tool and no unconditional deny matches; arguments are not looked at."""
        raise NotImplementedError
