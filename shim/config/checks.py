"""What can be wrong between blocks that are sound by themselves."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from shim.config import files, placeholders
from shim.config.document import Included, Main
from shim.config.faults import suggestion
from shim.config.listening import faults_of
from shim.config.reading import Reading
from shim.identity.config import IdentityBlock
from shim.identity.tokenfile import TokenFile
from shim.identity.yamltext import Path
from shim.model import Problem
from shim.policy.check import faults as grant_faults
from shim.policy.check import upstream_of
from shim.policy.config import GrantBlock
from shim.upstream.config import UpstreamBlock

AnyReading: TypeAlias = Reading[Main] | Reading[Included]
Level: TypeAlias = Literal["error", "warning"]

_SECRET_HEADERS = re.compile(
    r"(proxy-)?authorization|cookie|.*(api-?key|token|secret|password|credential).*", re.IGNORECASE
)
_SECRET_VARIABLES = re.compile(
    r"(.*_)?(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|CREDENTIALS?)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Known:
    """All names that the configuration gives to something, sound or not."""

    upstreams: tuple[str, ...]
    identities: tuple[str, ...]
    groups: frozenset[str]


def known(readings: Sequence[AnyReading]) -> Known:
    """The names in all files."""
    return Known(
        tuple(name for reading in readings for name in reading.names["upstreams"]),
        tuple(name for reading in readings for name in reading.names["identities"]),
        frozenset(
            group for reading in readings for block in reading.document.identities.values() for group in block.groups
        ),
    )


def doubles(readings: Sequence[AnyReading]) -> Iterator[Problem]:
    """Names that two things have: both places are named."""
    for section, what in (("upstreams", "upstream"), ("identities", "identity")):
        first: dict[str, str] = {}
        for reading in readings:
            for name in reading.names[section]:
                here = f"{reading.source.file}:{reading.line((section, name))}"
                if first.setdefault(name, here) != here:
                    yield reading.problem((section, name), f"the {what} {name} is at {first[name]} already; rename one")
    seen: dict[str, tuple[AnyReading, Path]] = {}
    for reading in readings:
        for position, grant in zip(reading.grants, reading.document.grants, strict=True):
            path: Path = ("grants", position, "name")
            if grant.name in seen:
                there, where = seen[grant.name]
                message = f"the grant {grant.name} is at {there.source.file}:{there.line(where)} already; rename one"
                yield reading.problem(path, message)
            else:
                seen[grant.name] = reading, path


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
        if wrong := files.missing(resolved.cert):
            yield reading.problem(("server", "tls", "cert"), wrong)
        if wrong := files.missing(resolved.key) or files.exposed(resolved.key):
            yield reading.problem(("server", "tls", "key"), wrong)
    signing = files.record(reading.document.record, reading.source).key
    if signing is not None and (wrong := files.exposed(signing)):
        yield reading.problem(("record", "key"), wrong)


def upstreams(reading: AnyReading) -> Iterator[Problem]:
    """Files and literal secrets of upstreams."""
    for name, block in reading.document.upstreams.items():
        path: Path = ("upstreams", name)
        yield from _tls(reading, path, block)
        yield from _literals(reading, (*path, "headers"), block.headers, _SECRET_HEADERS)
        yield from _literals(reading, (*path, "env"), block.env, _SECRET_VARIABLES)


def _literals(reading: AnyReading, path: Path, names: Collection[str], secret: re.Pattern[str]) -> Iterator[Problem]:
    if not reading.source.exposed:
        return
    for name in names:
        written = reading.written((*path, name))
        if reading.is_unset((*path, name)) or not secret.fullmatch(name):
            continue
        if written and not placeholders.from_environment(written):
            message = (
                f"{name} is a secret, and group or others can read this file; write ${{env:NAME}}, or chmod 600 it"
            )
            yield reading.problem((*path, name), message)


def _tls(reading: AnyReading, path: Path, block: UpstreamBlock) -> Iterator[Problem]:
    tls = files.upstream(block, reading.source, reading.source.folder).tls
    if tls is None:
        return
    for key in ("ca", "cert", "key"):
        value = getattr(tls, key)
        if value is None or reading.is_unset((*path, "tls", key)):
            continue
        if wrong := files.missing(value) or (files.exposed(value) if key == "key" else None):
            yield reading.problem((*path, "tls", key), wrong)


def tokens(readings: Sequence[AnyReading], file: TokenFile, name: str) -> Iterator[Problem]:
    """Token ids and digests that are used twice, over all files and `tokens.yaml` (called `name` in messages)."""
    ids: dict[str, str] = {}
    digests: dict[str, str] = {}
    for reading in readings:
        for identity, block in reading.document.identities.items():
            for position, token in enumerate(block.tokens):
                path: Path = ("identities", identity, "tokens", position)
                here = f"{reading.source.file}:{reading.line(path)}"
                yield from (reading.problem(path, text) for text in _twice(token.id, token.sha256, ids, digests, here))
    for blocks in file.entries.values():
        for token in blocks:
            line = file.lines[token.id]
            for text in _twice(token.id, token.sha256, ids, digests, f"{name}:{line}"):
                yield Problem(name, line, "error", text)


def _twice(token_id: str, digest: str, ids: dict[str, str], digests: dict[str, str], here: str) -> Iterator[str]:
    if token_id in ids:
        yield f"the token id {token_id} is at {ids[token_id]} already; choose another"
    if digest in digests:
        yield f"the same token is at {digests[digest]} already; a token proves one identity: keep one of them"
    ids.setdefault(token_id, here)
    digests.setdefault(digest, here)


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
                upstream = upstream_of(pattern)
                if upstream and ":" not in upstream and upstream not in names.upstreams:
                    hint = (
                        suggestion(upstream, names.upstreams) or f"; there are {', '.join(names.upstreams) or 'none'}"
                    )
                    yield reading.problem((*path, effect, place), f"no upstream is named {upstream!r}{hint}")


def _unknown_caller(who: str, grant: GrantBlock, names: Known) -> tuple[str, Level] | None:
    kind, colon, group = who.partition(":")
    if who == "*" or who in names.identities or who == "group:":
        return None
    if colon and kind == "group":
        if group in names.groups:
            return None
        # An allow that nobody gets fails closed; a deny that nobody gets does not.
        hint = suggestion(group, tuple(sorted(names.groups))) or "; add it to an identity's groups, or take it out"
        return f"no identity is in the group {group[:80]!r}{hint}", "error" if grant.deny else "warning"
    hint = suggestion(who, names.identities) or '; write an identity, `group:NAME`, or "*"'
    return f"no identity is named {who[:80]!r}{hint}", "error"
