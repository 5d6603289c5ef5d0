"""One tool of a program, ready to be called: what is shown of it, and what a call of it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jsonschema_rs import Draft202012Validator

from shim.model import Json, JsonObject
from shim.upstream.arguments import compiled
from shim.upstream.commandline import output
from shim.upstream.commandline.config import ProgramTool
from shim.upstream.commandline.declaration import Declaration
from shim.upstream.commandline.template import Misfit
from shim.upstream.definitions import defined

_HINTS: Final[Mapping[str, str]] = {
    "read_only": "readOnlyHint",
    "destructive": "destructiveHint",
    "idempotent": "idempotentHint",
    "open_world": "openWorldHint",
}
_ANYWHERE: Final = "/private"


@dataclass(frozen=True, slots=True)
class CommandTool:
    """`definition` has a digest over all that decides what is run."""

    name: str
    block: ProgramTool
    declaration: Declaration
    definition: JsonObject
    judge: Draft202012Validator

    @classmethod
    def of(cls, name: str, block: ProgramTool, hidden: Mapping[str, Json]) -> CommandTool:
        """`hidden`: what decides of that for all tools of the program."""
        made = block.declaration
        definition: JsonObject = {"name": name, "description": block.description, "inputSchema": made.schema}
        if (schema := output.schema_of(block.output, block.schema)) is not None:
            definition["outputSchema"] = schema
        hints = {hint: value for key, hint in _HINTS.items() if (value := getattr(block, key)) is not None}
        if hints:
            definition["annotations"] = hints
        own = block.model_dump(mode="json", include={"run", "stdin", "input", "output", "ok"})
        return cls(name, block, made, defined(definition, {**hidden, **own}), compiled(made.schema))

    def misfit(self, before: Sequence[str], arguments: JsonObject) -> str | None:
        """Which argument cannot stand where it would, of some that fit the schema; those that are missing apart."""
        try:
            self.declaration.fill(before, arguments, _ANYWHERE)
        except Misfit as error:
            return f"The argument `{error.name}` cannot be used: {error}."
        return None
