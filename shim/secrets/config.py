"""`secrets:` of the configuration: what is asked of a source when a call needs it; and the sources that there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from shim import templates
from shim.secrets import env, file, keyring
from shim.secrets.source import Source
from shim.units import Block

SecretName = Annotated[str, StringConstraints(pattern=f"^{templates.NAME}$")]

_LATER = frozenset({"vault", "oauth", "aws-sts", "github-app", "command", "user"})

_OF_A_CALL = re.compile(r"\{(?:identity|tool|invocation|claims\.[^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of source: the keys that its secrets have and must have, and whether they have fields.

    `make` is handed the environment that the sources may look into.
    """

    keys: type[Block]
    required: tuple[str, ...]
    has_fields: bool
    make: Callable[[Mapping[str, str]], Source[SecretBlock]]


KINDS: Mapping[str, Kind] = {
    "env": Kind(env.Keys, ("name",), has_fields=False, make=env.Env),
    "file": Kind(file.Keys, ("path",), has_fields=True, make=lambda _: file.File()),
    "keyring": Kind(keyring.Keys, ("service", "user"), has_fields=False, make=lambda _: keyring.Keyring()),
}
"""By the name that `source` has for it. A new source is a file, a line here, and its keys among those of a block."""


class SecretBlock(env.Keys, file.Keys, keyring.Keys):
    """One named credential: its source, and that source's keys. `scope: call` may be written; there is no other yet."""

    source: Annotated[str, Field(json_schema_extra={"enum": [*KINDS]})]
    scope: Literal["call"] = "call"

    @property
    def kind(self) -> Kind:
        return KINDS[self.source]

    @model_validator(mode="before")
    @classmethod
    def _call_only(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("scope") in ("run", "identity"):
            raise ValueError(f"`scope` {data['scope']} is not supported by this version; write call, or leave it out")
        return data

    @field_validator("name", "path", "field", "service", "user")
    @classmethod
    def _same_for_all_calls(cls, text: str | None) -> str | None:
        # As text it would be one secret for everybody, and whoever wrote it means one for each.
        if text is not None and (found := _OF_A_CALL.search(text)):
            raise ValueError(f"{found[0]} is not supported by this version; write a secret for each, or one for all")
        return text

    @model_validator(mode="after")
    def _of_its_source(self) -> SecretBlock:
        if self.source not in KINDS:
            known = ", ".join(KINDS)
            if self.source in _LATER:
                raise ValueError(f"`source` {self.source} is not supported by this version; there are {known}")
            raise ValueError(f"`source` names none of the sources that there are ({known})")
        own = self.kind.keys.model_fields
        for key in self.model_fields_set - {"source", "scope", *own}:
            of = next(name for name, kind in KINDS.items() if key in kind.keys.model_fields)
            raise ValueError(f"`{key}` belongs to a secret of source {of}")
        for key in self.kind.required:
            if getattr(self, key) is None:
                raise ValueError(f"`{key}` is missing; a secret of source {self.source} is asked for by it")
        return self
