"""`record:` of the configuration."""

from __future__ import annotations

from typing import Literal, TypeAlias

from shim.units import Block

Keep: TypeAlias = Literal["full", "redacted", "digest"]


class RecordBlock(Block):
    """What of arguments and results is kept, and where the key lies that signs checkpoints.

    `key` is a path; None means beside the store (made when missing, 0600).
    """

    arguments: Keep = "redacted"
    results: Keep = "digest"
    key: str | None = None
