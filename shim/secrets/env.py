"""`source: env`: a variable of the shim's own environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from shim.secrets.source import Around, Issued, LongLived, Purpose, Unavailable
from shim.units import Block


class Keys(Block):
    """What such a secret is asked for by."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None


class Env(LongLived):
    """Variables as they were handed over; they do not change while a process runs."""

    def __init__(self, around: Around) -> None:
        self._environment = around.environment

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:  # noqa: ARG002
        """See `Source`."""
        value = self._environment.get(secret.name or "")
        if value is None:
            raise Unavailable(f"the environment variable {secret.name} is not set; set it where the shim is started")
        return Issued(dict.fromkeys(fields, value))
