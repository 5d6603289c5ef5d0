"""`store:` of the configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from shim.store.files import name_problem


class StoreUrl(str):
    """`sqlite:PATH`. Raises ValueError for what this version cannot keep a record in."""

    __slots__ = ()

    @classmethod
    def check(cls, text: str) -> StoreUrl:
        kind, _, rest = text.partition(":")
        if kind == "sqlite" and rest:
            problem = name_problem(Path(rest))
            if problem is not None:
                raise ValueError(problem)
            return cls(text)
        if kind in ("postgresql", "postgres"):
            raise ValueError("not supported by this version: a PostgreSQL store; use sqlite:PATH")
        raise ValueError(f"{text!r} is not a store; write sqlite:PATH")

    @property
    def path(self) -> str:
        return self.partition(":")[2]

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: type, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls.check, core_schema.str_schema())
