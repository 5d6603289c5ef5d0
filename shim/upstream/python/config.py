"""The keys of an upstream with `python`: its functions, the interpreter that has them, what fills hidden parameters."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from shim.paths import PROGRAM
from shim.units import Block

_NAME = "[A-Za-z_][A-Za-z0-9_]{0,63}"

FUNCTION = rf"^{_NAME}(\.{_NAME})*:({_NAME}|\*)$"
PARAMETER = f"^{_NAME}$"

FunctionName = Annotated[str, StringConstraints(pattern=FUNCTION, max_length=500)]
"""`package.module:name`, or `package.module:*` for what the module's `__all__` names."""

ParameterName = Annotated[str, StringConstraints(pattern=PARAMETER)]


class PythonBlock(Block):
    """`inject` may hold `${secret:NAME}`; an `interpreter` without a slash is looked up in PATH."""

    python: Annotated[tuple[FunctionName, ...], Field(max_length=1000)] | None = None
    interpreter: Annotated[str, StringConstraints(min_length=1), PROGRAM] | None = None
    inject: dict[ParameterName, str] = Field(default_factory=dict)

    @field_validator("python")
    @classmethod
    def _one_each(cls, written: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if written is None:
            return None
        if not written:
            raise ValueError("`python` is empty; write package.module:function, or package.module:*")
        for entry, times in Counter(written).items():
            if times > 1:
                raise ValueError(f"`{entry}` stands there twice; write it once")
        for name, times in Counter(entry.partition(":")[2] for entry in written).items():
            if times > 1 and name != "*":
                raise ValueError(f"two functions are named {name}; put one of them into an upstream of its own")
        return written
