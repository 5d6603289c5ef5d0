"""Durations and sizes as a configuration writes them, and the base of every configuration block.

`30s 10m 2h 400d` become seconds (float), `64KiB 10MiB` become bytes (int).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from shim import templates

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB|KB|MB|GB)?", re.ASCII)
_BYTES = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def seconds(text: str) -> float:
    """`90s`, `10m`, `2h`, `400d` as seconds. Raises ValueError with what would be right."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write a number and a unit, such as 30s, 10m, 2h or 400d")
    return float(match[1]) * _SECONDS[match[2]]


def size(text: str) -> int:
    """`4MiB`, `64KiB`, `1000` as bytes. Raises ValueError with what would be right."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write a number and a unit, such as 64KiB or 10MiB")
    return int(match[1]) * _BYTES[match[2]]


def _duration(value: object) -> object:
    return seconds(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    return size(value) if isinstance(value, str) else value


Duration = Annotated[float, BeforeValidator(_duration, json_schema_input_type=str)]
"""Seconds. In a configuration: a number and a unit."""

Size = Annotated[int, BeforeValidator(_size, json_schema_input_type=str)]
"""Bytes. In a configuration: a number and a unit."""

SecretName = Annotated[str, StringConstraints(pattern=f"^{templates.NAME}$")]
"""A secret's, or a source's of secrets."""


class Faults(ValueError):
    """Several things that are wrong within a block, each with the steps that lead from the block to it."""

    def __init__(self, found: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__(found[0][1])
        self.found = tuple(found)


class Block(BaseModel):
    """A block of the configuration: unknown keys are errors, values do not change once read.

    Fields hold text as it was written (paths unresolved); defaults are those of the configuration contract.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
