"""What a source of secrets is: one place that is asked for a value when a call needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from shim.units import Block

K = TypeVar("K", bound=Block, contravariant=True)

MAX_BYTES = 64 * 1024
"""No secret is longer, whatever its source holds."""

PATIENCE = 10.0
"""Seconds that a source has to answer, however many fields are asked for."""


class Unavailable(Exception):
    """A source does not give a value. `str()` is one sentence for whoever runs the shim: why, and what to do.

    It may name files and variables, and never holds a value or a part of one.
    """


class Source(Protocol[K]):
    """One kind of source. The values of all kinds so far live until somebody changes them: nothing is revoked."""

    async def issue(self, secret: K, fields: frozenset[str | None]) -> Mapping[str | None, str]:
        """The value of each of these fields; None stands for what the secret means without a field.

        Asked anew at each call. Raises Unavailable. Never blocks the event loop, and can be cancelled at any time.
        """
