"""Reading a configuration: all its files, all its faults at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from shim import yamltext
from shim.config import access, checks, curated, faults, files, literals, secrets, source
from shim.config.checks import AnyReading
from shim.config.configuration import Configuration, GrantPlace, Place
from shim.config.document import Included, Main
from shim.config.reading import MAX_PROBLEMS, Reading, Variables, read
from shim.config.source import Source
from shim.errors import ConfigurationError
from shim.identity import tokenfile
from shim.identity.tokenfile import TokenFile, TokenFileError
from shim.model import Problem
from shim.yamltext import Malformed

MAX_FILES = 1000


def load(path: Path, environ: Mapping[str, str], *, expand: bool = True) -> Configuration:
    """Read the configuration at a path, and what it includes.

    `environ` gives the values of `${env:NAME}`. Without `expand`, for verbs that reach no upstream, a variable that is
    not set is no fault save in `store` and `record.key`: the value stays as it was written (or at its default, where
    such a text cannot stand).

    Raises ConfigurationError with every fault, and nothing else whatever the files hold.
    """
    variables = Variables(environ, expand)
    try:
        # Not resolve(): paths are relative to the folder in which the configuration is named, not to what it links to.
        main = path.absolute()
        first = source.read(main, str(path), main.name)
    except Malformed as error:
        raise ConfigurationError([Problem(str(path), error.line, "error", str(error))]) from None
    except FileNotFoundError:
        raise ConfigurationError(
            [Problem(str(path), 1, "error", "the current folder is gone; change to one")]
        ) from None
    reading = read(first, Main, variables)
    readings: list[AnyReading] = [reading, *(read(included, Included, variables) for included in _included(reading))]
    problems = [problem for one in readings for problem in one.problems]
    if not expand:
        problems += checks.kept(reading)
    tokens = main.with_name(tokenfile.NAME)
    problems += _checked(reading, readings, tokens, str(Path(path).with_name(tokenfile.NAME)))
    ordered = _ordered(problems, readings)
    if any(problem.level == "error" for problem in ordered):
        errors = [problem for problem in ordered if problem.level == "error"]
        raise ConfigurationError(errors[:MAX_PROBLEMS], source.digest([one.source for one in readings]))
    return _composed(main, reading, readings, tokens, tuple(ordered))


def recalled(texts: Sequence[tuple[str, bytes]], path: Path, environ: Mapping[str, str]) -> Configuration:
    """The configuration that these texts were: of each its name and content, that at `path` first.

    What lies beside them is not looked at, it may be another by now. Values from the environment are those of now;
    where that may matter to a decision, a warning says so. Raises ConfigurationError for what this version cannot read.
    """
    main, variables = path.absolute(), Variables(environ, strict=False)
    try:
        sources = [Source(main.parent / name, name, name, raw, yamltext.decode(raw), False) for name, raw in texts]
    except Malformed as error:
        raise ConfigurationError([Problem(texts[0][0], error.line, "error", str(error))]) from None
    reading = read(sources[0], Main, variables)
    readings: list[AnyReading] = [reading, *(read(included, Included, variables) for included in sources[1:])]
    problems = [problem for one in readings for problem in one.problems]
    problems += [problem for one in readings for problem in checks.grants(one, checks.known(readings))]
    errors = [problem for problem in _ordered(problems, readings) if problem.level == "error"]
    if errors:
        raise ConfigurationError(errors[:MAX_PROBLEMS])
    warnings = tuple(problem for one in readings for problem in checks.of_now(one))
    return _composed(main, reading, readings, main.with_name(tokenfile.NAME), warnings)


def _included(reading: Reading[Main]) -> Iterator[Source]:
    main = reading.source
    seen = {os.path.realpath(main.path), os.path.realpath(main.folder / tokenfile.NAME)}
    for position, pattern in enumerate(reading.document.include):
        where = ("include", position)
        try:
            paths = source.expand(main.folder, pattern)
        except ValueError as error:
            reading.report(where, str(error))
            continue
        for path in paths:
            real = os.path.realpath(path)
            if real in seen:
                reading.report(where, f"{pattern!r} names {path.name}, which is read already; write a narrower pattern")
                continue
            if len(seen) > MAX_FILES:
                reading.report(where, f"more than {MAX_FILES} files are included")
                return
            seen.add(real)
            name = os.path.relpath(path, main.folder)
            file = str(Path(main.file).parent / name)
            try:
                yield source.read(path, file, name)
            except Malformed as error:
                reading.problems.append(Problem(file, error.line, "error", str(error)))


def _checked(main: Reading[Main], readings: Sequence[AnyReading], tokens: Path, shown: str) -> Iterator[Problem]:
    names = checks.known(readings)
    identities = [block for reading in readings for block in reading.document.identities.values()]
    yield from checks.server(main, identities)
    yield from checks.doubles(readings)
    yield from checks.anonymous(readings)
    for reading in readings:
        yield from checks.upstreams(reading)
        yield from literals.problems(reading)
        yield from checks.grants(reading, names)
        yield from curated.problems(reading, names)
    yield from curated.renames(readings)
    yield from access.problems(main, readings)
    yield from secrets.problems(readings, names.secrets)
    yield from secrets.given(main.document.server, readings)
    file = TokenFile({}, {}, None)
    try:
        file = tokenfile.read(tokens)
    except TokenFileError as error:
        for flaw in error.flaws:
            yield Problem(shown, flaw.line, "error", flaw.message)
    yield from checks.tokens(readings, file, shown)
    provable = [name for name in names.identities if name not in names.templates]
    yield from checks.orphans(provable, file, shown)


def _ordered(problems: Sequence[Problem], readings: Sequence[AnyReading]) -> list[Problem]:
    order = {reading.source.file: number for number, reading in enumerate(readings)}
    unique = dict.fromkeys(replace(problem, message=faults.printable(problem.message)) for problem in problems)
    return sorted(unique, key=lambda problem: (order.get(problem.file, len(order)), problem.line))


def _composed(
    path: Path, main: Reading[Main], readings: Sequence[AnyReading], tokens: Path, warnings: tuple[Problem, ...]
) -> Configuration:
    sources = [reading.source for reading in readings]
    return Configuration(
        path=path,
        folder=path.parent,
        digest=source.digest(sources),
        texts=tuple((one.source.name, literals.without(one)) for one in readings),
        server=files.server(main.document.server, main.source),
        store=files.store(main.document.store, main.source),
        record=files.record(main.document.record, main.source),
        upstreams={
            name: files.upstream(block, reading.source, path.parent)
            for reading in readings
            for name, block in reading.document.upstreams.items()
        },
        identities={name: block for reading in readings for name, block in reading.document.identities.items()},
        grants=tuple(grant for reading in readings for grant in reading.document.grants),
        sources={
            name: files.source(block, reading.source)
            for reading in readings
            for name, block in reading.document.secret_sources.items()
        },
        secrets={
            name: files.secret(block, reading.source)
            for reading in readings
            for name, block in reading.document.secrets.items()
        },
        tokens=tokens,
        warnings=warnings,
        upstream_places=_places(readings, "upstreams"),
        secret_places=_places(readings, "secrets"),
        tools={pattern: block for reading in readings for pattern, block in reading.document.tools.items()},
        tool_places=_places(readings, "tools"),
        grant_places={
            grant.name: GrantPlace(reading.source.file, number, position)
            for number, reading in enumerate(readings)
            for position, grant in zip(reading.grants, reading.document.grants, strict=True)
        },
    )


def _places(readings: Sequence[AnyReading], section: str) -> dict[str, Place]:
    return {
        name: Place(reading.source.file, reading.line((section, name)))
        for reading in readings
        for name in reading.names[section]
    }
