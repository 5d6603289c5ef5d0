"""What can be wrong between secrets and the upstreams that they are handed to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shim import templates
from shim.config import files, placeholders
from shim.config.checks import AnyReading
from shim.config.document import SECRETS_IN
from shim.config.faults import suggestion
from shim.model import Problem
from shim.secrets.config import SecretBlock
from shim.yamltext import Path


@dataclass(frozen=True, slots=True)
class _Secrets:
    """The names of all secrets, and the blocks of those that are sound."""

    names: tuple[str, ...]
    blocks: Mapping[str, SecretBlock]

    def wrong(self, name: str, field: str | None) -> str | None:
        """What is wrong with naming a secret, or a field of it."""
        if name not in self.names:
            hint = suggestion(name, self.names) or f"; there are {', '.join(self.names) or 'none'} under `secrets:`"
            return f"no secret is named {name!r}{hint}"
        block = self.blocks.get(name)
        if block is not None and field is not None and not block.kind.has_fields:
            return f"a secret of source {block.source} has no fields; write ${{secret:{name}}}"
        return None


def problems(readings: Sequence[AnyReading], names: tuple[str, ...]) -> Iterator[Problem]:
    """Secrets that upstreams name and nobody has, that nobody names, and files that give away what they hold.

    `names` are those of all secrets, sound or not.
    """
    known = _Secrets(names, {name: block for one in readings for name, block in one.document.secrets.items()})
    used: set[str] = set()
    for reading in readings:
        for upstream in reading.document.upstreams:
            yield from _handed(reading, ("upstreams", upstream), known, used)
    for reading in readings:
        for name, block in reading.document.secrets.items():
            path = files.secret(block, reading.source).path
            where = ("secrets", name, "path")
            if path is not None and not reading.is_unset(where) and (wrong := files.unfit(path)):
                yield reading.problem(where, wrong)
            if name not in used:
                message = f"no upstream uses the secret {name}; write ${{secret:{name}}} where it goes, or take it out"
                yield reading.problem(("secrets", name), message, "warning")


def _handed(reading: AnyReading, path: Path, known: _Secrets, used: set[str]) -> Iterator[Problem]:
    """What an upstream is handed, in calls and when its catalog is read."""
    block = reading.document.upstreams[str(path[1])]
    fields: dict[str, list[str | None]] = {}
    for section in sorted(SECRETS_IN):
        for key in getattr(block, section):
            where = (*path, section, key)
            # As written: where a variable is not set, there are no places.
            for reference in placeholders.secrets(reading.written(where) or ""):
                name, field = templates.name_of(reference), templates.field_of(reference)
                fields.setdefault(name, []).append(field)
                if wrong := known.wrong(name, field):
                    yield reading.problem(where, wrong)
    used.update(fields, block.catalog.values())
    for name, secret in block.catalog.items():
        where = (*path, "catalog", name)
        if name not in fields:
            hint = suggestion(name, tuple(fields)) or "; name one that its `headers` or `env` use"
            yield reading.problem(where, f"nothing of this upstream uses ${{secret:{name[:60]}}}{hint}")
            continue
        faults = (known.wrong(secret, field) for field in fields[name])
        if wrong := next((fault for fault in faults if fault), None):
            yield reading.problem(where, wrong)
