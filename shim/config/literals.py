"""Secrets that stand in a configuration as they are: refused where others can read the file, and never kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from shim import yamltext
from shim.config import curated, placeholders
from shim.config.checks import AnyReading
from shim.config.document import VALUES_IN
from shim.model import Problem
from shim.yamltext import Path

_HEADERS = re.compile(r"(proxy-)?authorization|cookie|.*(api-?key|token|secret|password|credential).*", re.IGNORECASE)
_VARIABLES = re.compile(
    r"(.*_)?(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|CREDENTIALS?)", re.IGNORECASE
)
_ARGUMENTS = re.compile(
    r"(.*[/._-])?(authorization|cookie|pat|.*(api[-_]?key|token|secret|password|passwd|credential|private[-_]?key).*)",
    re.IGNORECASE,
)
_PROOFS: Final = frozenset({"token", "secret_id", "client_secret"})
"""Keys of a source below which a credential stands."""
_ANCHOR = re.compile(r"&\S+\s+")
_NOT_KEPT: Final = '"(a secret, not kept)"'


def problems(reading: AnyReading) -> Iterator[Problem]:
    """Those that group or others can read, with what to write in their place."""
    if not reading.source.exposed:
        return
    for path in _literals(reading):
        # A source is what secrets come from: it can have none of them.
        other = (
            "write ${env:NAME}"
            if path[0] == "secret_sources"
            else ("name it under `secrets:` and write ${secret:NAME}")
        )
        message = f"{path[-1]} is a secret, and group or others can read this file; {other}, or chmod 600 it"
        yield reading.problem(path, message)


def without(reading: AnyReading) -> str:
    """The text of a file with something else in the place of each, and all lines where they were."""
    text: str = reading.source.text
    spans = []
    for path in _literals(reading):
        _, node = yamltext.locate(reading.root, path)
        assert node is not None
        start, end = node.start_mark.index, node.end_mark.index
        # What an alias repeats keeps the name that it has for that.
        named = _ANCHOR.match(text.removeprefix("\ufeff"), start, end)
        spans.append((named.end() if named is not None else start, end))
    # The marks of a text do not count the mark of its encoding before it.
    before = len(text) - len(text.removeprefix("\ufeff"))
    for start, end in sorted(set(spans), reverse=True):
        lines = "\n" * text.count("\n", before + start, before + end)
        text = text[: before + start] + _NOT_KEPT + lines + text[before + end :]
    return text


def _literals(reading: AnyReading) -> Iterator[Path]:
    for name, upstream in reading.document.upstreams.items():
        at: Path = ("upstreams", name)
        yield from _of(reading, (*at, "headers"), upstream.headers, _HEADERS)
        yield from _of(reading, (*at, "env"), upstream.env, _VARIABLES)
        yield from _of(reading, (*at, "files"), upstream.files, _VARIABLES)
        yield from _of(reading, (*at, "inject"), upstream.inject, _ARGUMENTS)
        yield from _credentials(reading, (*at, "auth"), upstream.auth)
        yield from _of(reading, (*at, "fixed"), upstream.fixed, _ARGUMENTS)
    for name, source in reading.document.secret_sources.items():
        at = ("secret_sources", name)
        written = source.model_dump(exclude_unset=True)
        yield from _of(reading, (*at, "env"), written.get("env") or (), _VARIABLES)
        yield from _proofs(reading, at, written)

    for where in curated.texts(reading, (*VALUES_IN, "default")):
        name = next(step for step in reversed(where) if isinstance(step, str))
        if _ARGUMENTS.fullmatch(name) and _is_literal(reading, where):
            yield where


def _of(reading: AnyReading, path: Path, names: Iterable[str], secret: re.Pattern[str]) -> Iterator[Path]:
    return ((*path, name) for name in names if secret.fullmatch(name) and _is_literal(reading, (*path, name)))


def _credentials(reading: AnyReading, path: Path, auth: Mapping[str, object]) -> Iterator[Path]:
    """All that is sent to a service as a proof, but for who a user is."""
    for key, member in auth.items():
        where = (*path, key)
        if isinstance(member, dict):
            yield from _credentials(reading, where, member)
        elif key != "user" and _is_literal(reading, where):
            yield where


def _proofs(reading: AnyReading, path: Path, value: Mapping[str, object]) -> Iterator[Path]:
    for key, member in value.items():
        where = (*path, key)
        if isinstance(member, dict):
            yield from _proofs(reading, where, member)
        elif key in _PROOFS and _is_literal(reading, where):
            yield where


def _is_literal(reading: AnyReading, path: Path) -> bool:
    written = reading.written(path)
    is_taken = written and (placeholders.from_environment(written) or placeholders.secrets(written))
    return bool(written) and not is_taken and not reading.is_unset(path)
