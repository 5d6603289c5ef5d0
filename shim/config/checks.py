"""What can be wrong between blocks that are sound by themselves."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from shim import yamltext
from shim.config import files, placeholders
from shim.config.configuration import Place
from shim.config.document import Included, Main
from shim.config.faults import suggestion
from shim.config.listening import faults_of
from shim.config.reading import Reading
from shim.identity.config import IdentityBlock
from shim.identity.naming import Template, groups_of
from shim.identity.tokenfile import TokenFile
from shim.model import Problem
from shim.paths import exposed, missing
from shim.policy.check import faults as grant_faults
from shim.policy.config import GrantBlock
from shim.policy.patterns import split
from shim.upstream import checking
from shim.yamltext import Path

AnyReading: TypeAlias = Reading[Main] | Reading[Included]
_UPSTREAM = re.compile(r"([^*?\[\\/:]+)/")
Level: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Known:
    """All names that the configuration gives to something, sound or not.

    `templates` are identities of many persons, `people` what the names of those look like.
    """

    upstreams: tuple[str, ...]
    identities: tuple[str, ...]
    secrets: tuple[str, ...]
    groups: frozenset[str]
    templates: frozenset[str]
    people: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where something stands, looked up only when it is asked for: a place, or a path in a file."""

    where: AnyReading | Place
    path: Path = ()

    @property
    def place(self) -> Place:
        if isinstance(self.where, Place):
            return self.where
        return Place(self.where.source.file, self.where.line(self.path))


@dataclass(slots=True)
class _Uses:
    """What may be used once: who came first, and what a second is told."""

    what: str
    remedy: str
    first: dict[str, _Spot] = field(default_factory=dict)

    def by(self, key: str, name: str, spot: _Spot) -> Iterator[Problem]:
        there = self.first.setdefault(key, spot)
        if there is not spot:
            first, here = there.place, spot.place
            message = f"{self.what} {name} is at {first.file}:{first.line} already; {self.remedy}"
            yield Problem(here.file, here.line, "error", message)


def known(readings: Sequence[AnyReading]) -> Known:
    """The names in all files."""
    return Known(
        tuple(name for reading in readings for name in reading.names["upstreams"]),
        tuple(name for reading in readings for name in reading.names["identities"]),
        tuple(name for reading in readings for name in reading.names["secrets"]),
        frozenset(
            group
            for reading in readings
            for name, block in reading.document.identities.items()
            for group in groups_of(name, block)
        ),
        frozenset(
            name
            for reading in readings
            for name, block in reading.document.identities.items()
            if block.name is not None
        ),
        tuple(
            template
            for reading in readings
            for block in reading.document.identities.values()
            if (template := _template(block)) is not None
        ),
    )


def _template(block: IdentityBlock) -> Template | None:
    try:
        return Template.of(block.name) if block.name is not None else None
    except ValueError:
        # What is wrong with it is said where it stands.
        return None


def doubles(readings: Sequence[AnyReading]) -> Iterator[Problem]:
    """Names that two things have: both places are named."""
    sections = {
        "upstreams": "upstream",
        "identities": "identity",
        "secret_sources": "source of secrets",
        "secrets": "secret",
        "tools": "pattern on tools",
    }
    for section, what in sections.items():
        named = _Uses(f"the {what}", "rename one")
        for reading in readings:
            for name in reading.names[section]:
                yield from named.by(name, name, _Spot(reading, (section, name)))
    granted = _Uses("the grant", "rename one")
    for reading in readings:
        for position, grant in zip(reading.grants, reading.document.grants, strict=True):
            yield from granted.by(grant.name, grant.name, _Spot(reading, ("grants", position, "name")))


def kept(reading: Reading[Main]) -> Iterator[Problem]:
    """Where the record lies, for whoever reads it: that value is needed by all."""
    paths: tuple[Path, ...] = (("store",), ("record", "key"))
    for path in paths:
        if reading.is_unset(path):
            yield reading.problem(path, f"`{path[-1]}` names an environment variable that is not set; set it")


def of_now(reading: AnyReading) -> Iterator[Problem]:
    """Where a decision may hang on the environment, which is not kept with the texts."""
    for section in ("grants", "identities"):
        _, value = yamltext.locate(reading.root, (section,))
        if value is not None:
            written = reading.source.text[value.start_mark.index : value.end_mark.index]
            if placeholders.from_environment(written):
                message = f"`{section}` take values from the environment: decided with those of now"
                yield reading.problem((section,), message, "warning")


def server(reading: Reading[Main], identities: Collection[IdentityBlock]) -> Iterator[Problem]:
    """Where the shim listens and what it proves itself with."""
    block = reading.document.server
    is_open = any(identity.anonymous for identity in identities)
    is_secured = block.behind_proxy or reading.has(("server", "tls"))
    for key, message in faults_of(block, is_secured=is_secured, is_open=is_open):
        yield reading.problem(("server", key), message)
    if block.tls is not None:
        resolved = files.server(block, reading.source).tls
        assert resolved is not None
        if wrong := missing(resolved.cert):
            yield reading.problem(("server", "tls", "cert"), wrong)
        if wrong := missing(resolved.key) or exposed(resolved.key):
            yield reading.problem(("server", "tls", "key"), wrong)
    signing = files.record(reading.document.record, reading.source).key
    if signing is not None and (wrong := exposed(signing)):
        yield reading.problem(("record", "key"), wrong)


def upstreams(reading: AnyReading) -> Iterator[Problem]:
    """What upstreams name and this machine does not have, or not so."""
    for name, block in reading.document.upstreams.items():
        for fault in checking.faults(files.upstream(block, reading.source, reading.source.folder)):
            path: Path = ("upstreams", name, *fault.path)
            if fault.place is not None:
                yield Problem(*fault.place, fault.level, fault.message)
            elif not any(reading.is_unset(("upstreams", name, *one)) for one in (fault.path, *fault.by)):
                yield reading.problem(path, fault.message, fault.level)


def tokens(readings: Sequence[AnyReading], file: TokenFile, name: str) -> Iterator[Problem]:
    """Token ids and digests that are used twice, over all files and `tokens.yaml` (called `name` in messages)."""
    spots = [
        (token, _Spot(reading, ("identities", identity, "tokens", position)))
        for reading in readings
        for identity, block in reading.document.identities.items()
        for position, token in enumerate(block.tokens)
    ]
    spots += [(token, _Spot(Place(name, file.lines[token.id]))) for blocks in file.entries.values() for token in blocks]
    ids = _Uses("the token id", "choose another")
    digests = _Uses("the digest of the token", "a token proves one identity: keep one of them")
    for token, spot in spots:
        yield from ids.by(token.id, token.id, spot)
        yield from digests.by(token.sha256, token.id, spot)


def orphans(identities: Collection[str], file: TokenFile, name: str) -> Iterator[Problem]:
    """Tokens of identities that the configuration does not have: they prove nothing."""
    for identity, blocks in file.entries.items():
        if identity not in identities and blocks:
            message = f"the configuration has no identity {identity}: its tokens prove nothing; revoke them"
            yield Problem(name, file.lines[blocks[0].id], "warning", message)


def anonymous(readings: Sequence[AnyReading]) -> Iterator[Problem]:
    """More than one identity for requests without a credential."""
    first: str | None = None
    for reading in readings:
        for name, block in reading.document.identities.items():
            if block.anonymous and first is not None:
                message = f"{first} is anonymous already; a request without a credential is one identity at most"
                yield reading.problem(("identities", name, "anonymous"), message)
            elif block.anonymous:
                first = name


def grants(reading: AnyReading, names: Known) -> Iterator[Problem]:
    """Whom grants are for and what they name; patterns and conditions are policy's to judge."""
    for position, grant in zip(reading.grants, reading.document.grants, strict=True):
        path: Path = ("grants", position)
        for finding in grant_faults(grant):
            yield reading.finding(position, finding)
        for place, who in enumerate(grant.to):
            if (wrong := _unknown_caller(who, grant, names)) is not None:
                yield reading.problem((*path, "to", place), *wrong)
        for effect, patterns in (("allow", grant.allow), ("deny", grant.deny)):
            for place, pattern in enumerate(patterns):
                if (message := unknown_upstream(pattern, names)) is not None:
                    yield reading.problem((*path, effect, place), message)


def unknown_upstream(pattern: str, names: Known) -> str | None:
    """What is wrong with the upstream that a pattern names literally. None where it may mean several."""
    found = _UPSTREAM.match(split(pattern)[1])
    if found is None or found[1] in names.upstreams:
        return None
    hint = suggestion(found[1], names.upstreams) or f"; there are {', '.join(names.upstreams) or 'none'}"
    return f"no upstream is named {found[1]!r}{hint}"


def _unknown_caller(who: str, grant: GrantBlock, names: Known) -> tuple[str, Level] | None:
    kind, colon, group = who.partition(":")
    if who in names.templates:
        return f"{who} is many persons, each with a name of their own; write `group:{who}`", "error"
    if who == "*" or who in names.identities or who == "group:":
        return None
    if colon and kind == "group":
        if group in names.groups:
            return None
        # An allow that nobody gets fails closed; a deny that nobody gets does not.
        hint = suggestion(group, tuple(sorted(names.groups))) or "; add it to an identity's groups, or take it out"
        return f"no identity is in the group {group[:80]!r}{hint}", "error" if grant.deny else "warning"
    if any(template.could_name(who) for template in names.people):
        return None
    hint = suggestion(who, names.identities) or '; write an identity, `group:NAME`, or "*"'
    return f"no identity is named {who[:80]!r}{hint}", "error"
