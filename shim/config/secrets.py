"""What can be wrong between sources, secrets, grants that bind them, and the upstreams that they are handed to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from shim import templates
from shim.config import curated, files, placeholders
from shim.config.checks import AnyReading
from shim.config.faults import first_of, key_of, suggestion
from shim.config.listening import is_known
from shim.model import Problem
from shim.paths import exposed, paths, unfit
from shim.policy.check import fault_of_tools
from shim.policy.globs import Glob
from shim.secrets.config import KINDS, UNDECLARED, Kind, SecretBlock, SourceBlock
from shim.secrets.sealkeys import vault_of
from shim.server.config import ServerBlock
from shim.units import Block
from shim.upstream import places
from shim.upstream.config import SECRETS_IN
from shim.yamltext import Path


@dataclass(frozen=True, slots=True)
class _Secrets:
    """The names of all secrets, the blocks of those that are sound, and the kind of each declared source.

    `bound`: the names that grants put a secret behind.
    """

    names: tuple[str, ...]
    blocks: Mapping[str, SecretBlock]
    kinds: Mapping[str, Kind]
    sources: Mapping[str, SourceBlock]
    bound: frozenset[str]

    def kind(self, block: SecretBlock) -> Kind | None:
        return self.kinds.get(block.source)

    def wrong(self, name: str, field: str | None) -> str | None:
        """What is wrong with naming a secret, or a field of it."""
        if name not in self.names:
            hint = suggestion(name, self.names) or f"; there are {', '.join(self.names) or 'none'} under `secrets:`"
            return f"no secret is named {name!r}{hint}"
        block = self.blocks.get(name)
        kind = self.kind(block) if block is not None else None
        if block is not None and kind is not None and field is not None and not kind.has_fields:
            return f"a secret of source {block.source} has no fields; write ${{secret:{name}}}"
        return None


def given(server: ServerBlock, readings: Sequence[AnyReading]) -> Iterator[Problem]:
    """Secrets that people give, where nobody could tell them the address of the page."""
    if is_known(server):
        return
    for reading in readings:
        for name, block in reading.document.secrets.items():
            if block.is_given:
                message = f"people give {name} at a page beside /mcp, and nothing says where; write `server.url`"
                yield reading.problem(("secrets", name), message)


def problems(readings: Sequence[AnyReading], names: tuple[str, ...]) -> Iterator[Problem]:
    """Secrets that upstreams name and nobody has, that nobody names, and files that give away what they hold.

    `names` are those of all secrets, sound or not.
    """
    sources = tuple(name for one in readings for name in one.names["secret_sources"])
    known = _Secrets(
        names,
        {name: block for one in readings for name, block in one.document.secrets.items()},
        {name: KINDS[name] for name in UNDECLARED}
        | {name: block.kind for one in readings for name, block in one.document.secret_sources.items()},
        {name: block for one in readings for name, block in one.document.secret_sources.items()},
        frozenset(logical for one in readings for grant in one.document.grants for logical in grant.bind),
    )
    used: set[str] = set()
    keys: dict[str, str] = {}
    exposing = {
        f"{upstream}/{tool}": arguments
        for one in readings
        for upstream, block in one.document.upstreams.items()
        for tool, arguments in places.shown(block).items()
    }
    for reading in readings:
        yield from _declared(reading)
        yield from _keys(reading, keys)
        yield from _sealed(reading, known)
        yield from _bound(reading, known, used)
        for upstream in reading.document.upstreams:
            yield from _handed(reading, ("upstreams", upstream), known, used)
        yield from _fixed(reading, known, used)
        yield from _exposed(reading, exposing)
        yield from _shared(reading, known)
    for reading in readings:
        for name, block in reading.document.secrets.items():
            path = files.secret(block, reading.source).path if block.source == "file" else None
            where = ("secrets", name, "path")
            if path is not None and not reading.is_unset(where) and (wrong := unfit(path)):
                yield reading.problem(where, wrong)
            yield from _asked(reading, name, block, known, sources)
            if name not in used:
                message = f"no upstream uses the secret {name}; write ${{secret:{name}}} where it goes, or take it out"
                yield reading.problem(("secrets", name), message, "warning")


def _shared(reading: AnyReading, known: _Secrets) -> Iterator[Problem]:
    """Identities that several people may be, of whom each is asked for a credential that then serves all."""
    given = next((name for name, block in known.blocks.items() if block.is_given), None)
    for name, block in reading.document.identities.items():
        if given is not None and block.jwt is not None and block.name is None and "sub" not in block.jwt:
            message = (
                f"everybody whose token claims this is the one identity {name}: what one of them gives of {given} "
                "serves the calls of all; write a `name` such as staff:{claims.sub}, which makes each their own"
            )
            yield reading.problem(("identities", name), message, "warning")


def _declared(reading: AnyReading) -> Iterator[Problem]:
    """Sources: whether what they say is sound for their kind, and what gives away how they prove themselves."""
    for name, block in reading.document.secret_sources.items():
        path: Path = ("secret_sources", name)
        if name in UNDECLARED:
            yield reading.problem(path, f"{name} is a source without being declared; take another name")
        try:
            block.where()
        except ValidationError as error:
            where, message = first_of(block.kind.where or Block, error)
            if not reading.is_unset((*path, *where)):
                yield reading.problem((*path, *where), message)
        for where, file in paths(files.source(block, reading.source)):
            if not reading.is_unset((*path, *where)) and where[-1] not in ("ca", "cert") and (wrong := exposed(file)):
                yield reading.problem((*path, *where), wrong)


def _keys(reading: AnyReading, keys: dict[str, str]) -> Iterator[Problem]:
    """Sources that share a key: missing, it would be made anew for one while what the other has is sealed with it."""
    for name, block in reading.document.secret_sources.items():
        key = getattr(files.source(block, reading.source), "key", None)
        if isinstance(key, str) and key.startswith("file:") and keys.setdefault(key, name) != name:
            message = f"{keys[key]} has this key; name another file, which is made when it is first needed"
            yield reading.problem(("secret_sources", name, "key"), message)


def _sealed(reading: AnyReading, known: _Secrets) -> Iterator[Problem]:
    """Whether the vault is there that has the key of a source, and lets the shim itself in."""
    for name, block in reading.document.secret_sources.items():
        key = getattr(block, "key", None)
        vault = vault_of(key) if key is not None else None
        if vault is None:
            continue
        where: Path = ("secret_sources", name, "key")
        other = known.sources.get(vault)
        if other is None or other.type != "vault":
            hint = suggestion(vault, tuple(one for one, source in known.sources.items() if source.type == "vault"))
            yield reading.problem(where, f"`key` names no source of type vault: {vault[:60]!r}{hint or ''}")
        elif (auth := getattr(other, "auth", None)) is not None and auth.is_callers:
            yield reading.problem(where, f"{vault} lets in callers, and the key is for the shim: name another source")


def _asked(
    reading: AnyReading, name: str, block: SecretBlock, known: _Secrets, sources: tuple[str, ...]
) -> Iterator[Problem]:
    """Whether a secret's source is there, and the secret one of its kind."""
    where: Path = ("secrets", name)
    if block.source in UNDECLARED:
        return
    kind = known.kinds.get(block.source)
    if kind is None:
        if block.source not in sources:
            every = (*UNDECLARED, *sources)
            hint = suggestion(block.source, every) or f"; there are {', '.join(every)}"
            message = f"`source` names none of the sources that there are: {block.source!r}{hint}"
            yield reading.problem((*where, "source"), message)
        return
    wrong: str | None = None
    try:
        block.check(kind)
        wrong = kind.misfit(block.keys(kind), known.sources.get(block.source))
    except ValidationError as error:
        at, message = first_of(kind.keys, error)
        yield reading.problem((*where, *at), message)
    except ValueError as error:
        wrong = str(error)
    if wrong is not None:
        key = key_of(wrong)
        is_there = key is not None and reading.has((*where, key))
        yield reading.problem((*where, key or "") if is_there else where, wrong)


def _bound(reading: AnyReading, known: _Secrets, used: set[str]) -> Iterator[Problem]:
    for position, grant in zip(reading.grants, reading.document.grants, strict=True):
        for logical, secret in grant.bind.items():
            used.add(secret)
            if wrong := known.wrong(secret, None):
                yield reading.problem(("grants", position, "bind", logical), wrong)


def _handed(reading: AnyReading, path: Path, known: _Secrets, used: set[str]) -> Iterator[Problem]:
    """What an upstream is handed, in calls and when its catalog is read."""
    block = reading.document.upstreams[str(path[1])]
    fields: dict[str, list[str | None]] = {}
    for section in sorted(SECRETS_IN):
        for where in _texts_in(getattr(block, section), (*path, section)):
            # As written: where a variable is not set, there are no places.
            for reference in placeholders.secrets(reading.written(where) or ""):
                name, field = templates.name_of(reference), templates.field_of(reference)
                fields.setdefault(name, []).append(field)
                yield from _named(reading, where, known, name, field)
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
        elif (of := known.blocks.get(secret)) is not None and of.is_of_a_caller:
            message = f"{secret} is another for each caller, and there is none when the catalog is read; name another"
            yield reading.problem(where, message)


def _texts_in(value: object, path: Path) -> Iterator[Path]:
    """Where the texts of a value stand."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, Block):
        for key in value.model_fields_set:
            yield from _texts_in(getattr(value, key), (*path, key))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts_in(one, (*path, key))
    elif isinstance(value, list | tuple):
        for position, one in enumerate(value):
            yield from _texts_in(one, (*path, position))


def _fixed(reading: AnyReading, known: _Secrets, used: set[str]) -> Iterator[Problem]:
    """What is put into calls of tools."""
    for where in curated.texts(reading):
        for reference in placeholders.secrets(reading.written(where) or ""):
            name, field = templates.name_of(reference), templates.field_of(reference)
            used.add(name)
            yield from _named(reading, where, known, name, field)


def _exposed(reading: AnyReading, exposing: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    """Secrets that would be put into arguments which others on the machine see."""
    for where in curated.texts(reading, ("fixed",)):
        _, pattern, _, argument, *_ = where
        if not placeholders.secrets(reading.written(where) or "") or fault_of_tools(str(pattern)) is not None:
            continue
        glob = Glob(str(pattern))
        for tool, arguments in exposing.items():
            if argument in arguments and glob.matches(tool):
                message = (
                    f"{argument} of {tool} stands in a command line, which everyone who lists processes sees; hand the "
                    "secret over as `env` or `files` of the upstream, or make the input `as: file`"
                )
                yield reading.problem(where, message)
                break


def _named(reading: AnyReading, where: Path, known: _Secrets, name: str, field: str | None) -> Iterator[Problem]:
    # Some grants may put a secret behind a name that is none.
    if (wrong := known.wrong(name, field)) and name not in known.bound - {*known.names}:
        yield reading.problem(where, wrong)
