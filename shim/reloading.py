"""A changed configuration, taken into force while the process runs or refused with the reason on the record."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime

from shim import yamltext
from shim.config.configuration import Configuration
from shim.errors import ConfigurationError, RecordUnavailable
from shim.model import JsonObject, Problem
from shim.record.known import without_credentials
from shim.record.recorder import Record

_log = logging.getLogger("shim.config")

_SAID = 100
_RECORDED = 50
_LONGEST = 300

Prepare = Callable[[Configuration], Awaitable[Callable[[], None]]]
"""Builds all that a configuration needs. The function it gives puts that in force: at once, and without a fault."""


class Reloading:
    """Owns which configuration is in force, and which was refused last.

    `in_force` is as it was written, whatever `listen` (HOST:PORT, None: as configured) says instead. `process` and
    `user` are who runs this, for the record.
    """

    def __init__(
        self,
        in_force: Configuration,
        record: Record,
        prepare: Prepare,
        *,
        listen: str | None,
        process: str,
        user: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._in_force = in_force
        self._record = record
        self._prepare = prepare
        self._listen = listen
        self._process = process
        self._user = user
        self._clock = clock
        self._since = clock()
        self._refused: tuple[Problem, ...] | None = None
        self._waits: str | None = None

    async def take(self, new: Configuration) -> bool:
        """Put a sound configuration in force, or refuse what cannot change. False: it is not on the record yet.

        Its texts are on the record before it decides anything; until they can be, the one before stays in force.
        """
        if new.digest == self._in_force.digest:
            self._mended()
            return True
        problems = [*unchangeable(self._in_force, new, self._since), *self._listening(new)]
        if problems:
            await self.refuse(problems, new.digest)
            return True
        put_in_force = await self._prepare(new)
        try:
            await self._record.loaded(new.digest, new.texts, user=self._user)
        except RecordUnavailable as error:
            if self._waits != new.digest:
                self._waits = new.digest
                _log.error("the changed configuration waits, and the one before stays in force: %s", error)
            return False
        put_in_force()
        self._in_force, self._since, self._waits = new, self._clock(), None
        self._mended()
        _log.info("the configuration changed: policy %s is in force", new.digest)
        for warning in new.warnings:
            _log.warning("%s", warning)
        return True

    async def refuse(self, problems: Sequence[Problem], digest: str | None) -> None:
        """Say and record, once, what is wrong; nothing else changes."""
        if self._refused == tuple(problems):
            return
        self._refused = tuple(problems)
        for problem in problems[:_SAID]:
            _log.error("%s", problem)
        _log.error(
            "the configuration as it is now is refused (%d %s); the one read at %s stays in force",
            len(problems),
            "fault" if len(problems) == 1 else "faults",
            _written(self._since),
        )
        body: JsonObject = {
            "policy": digest,
            "in_force": self._in_force.digest,
            "count": len(problems),
            "problems": [_recorded(problem) for problem in problems[:_RECORDED]],
            "process": self._process,
            "user": self._user,
        }
        try:
            await self._record.event("config.refused", body)
        except RecordUnavailable as error:
            _log.error("that a configuration was refused could not be recorded: %s", error)

    def _mended(self) -> None:
        if self._refused is not None:
            self._refused = None
            _log.warning("the configuration is mended")

    def _listening(self, new: Configuration) -> Sequence[Problem]:
        try:
            if self._listen is not None:
                new.listening_on(self._listen)
        except ConfigurationError as error:
            return error.problems
        return ()


def unchangeable(old: Configuration, new: Configuration, since: datetime) -> Iterator[Problem]:
    """What the new configuration would change that is settled when the process starts, each at its line."""
    text = new.texts[0][1]
    root = yamltext.compose(text)
    keys: list[tuple[str, ...]] = [
        *(("server", key) for key in type(old.server).model_fields if _differ(old.server, new.server, key)),
        *((("store",),) if old.store != new.store else ()),
        *(("record", key) for key in type(old.record).model_fields if _differ(old.record, new.record, key)),
    ]
    for path in keys:
        point, _ = yamltext.locate(root, path)
        line = yamltext.line_of(text, point.start_mark.index) if point is not None else 1
        message = (
            f"`{'.'.join(path)}` cannot change while the shim runs: restart it;"
            f" until then the configuration read at {_written(since)} stays in force"
        )
        yield Problem(str(new.path), line, "error", message)


def _differ(old: object, new: object, key: str) -> bool:
    return bool(getattr(old, key) != getattr(new, key))


def _written(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _recorded(problem: Problem) -> JsonObject:
    message, _ = without_credentials(problem.message[:_LONGEST])
    return {"file": problem.file, "line": problem.line, "message": message}
