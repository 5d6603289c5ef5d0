"""`source: env`: a variable of the shim's own environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import StringConstraints

from shim.secrets.source import Unavailable
from shim.units import Block


class Keys(Block):
    """What such a secret is asked for by."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None


class Env:
    """Variables as they were handed over; they do not change while a process runs."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    async def issue(self, secret: Keys, fields: frozenset[str | None]) -> Mapping[str | None, str]:
        """See `Source`."""
        value = self._environment.get(secret.name or "")
        if value is None:
            raise Unavailable(f"the environment variable {secret.name} is not set; set it where the shim is started")
        return dict.fromkeys(fields, value)
