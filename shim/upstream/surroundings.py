"""What every upstream of a process is handed, whatever its kind and era."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shim.lending import Secrets
from shim.model import JsonObject, Offer
from shim.upstream.session import Me, Spawn


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`secrets` are for reading catalogs; `random` gives 0..1 for jitter.

    `event` takes what an upstream asked, and returns; `record` commits it first, or raises RecordUnavailable.
    """

    me: Me
    spawn: Spawn
    secrets: Secrets
    random: Callable[[], float]
    offer: Callable[[Offer], Awaitable[None]]
    event: Callable[[str, JsonObject, str | None], None]
    record: Callable[[str, JsonObject, str | None], Awaitable[None]]
