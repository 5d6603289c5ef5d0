"""Opening the record for reading, and the filters that verbs on it share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, get_args

import typer

from shim.cli import completing, output
from shim.cli.errors import usage
from shim.cli.options import configuration, store_path
from shim.cli.times import moment
from shim.model import Status

if TYPE_CHECKING:
    from shim.record.queries import Query
    from shim.store.reader import Reader

Ended: TypeAlias = Literal["allow", "deny"]
_DECISIONS: tuple[Ended, ...] = get_args(Ended)
_STATUSES = {status.value: status for status in Status}


def _decision(text: str) -> Ended:
    for decision in _DECISIONS:
        if text == decision:
            return decision
    raise _none(text, _DECISIONS, "--status" if text in _STATUSES else None)


def _status(text: str) -> Status:
    if text not in _STATUSES:
        raise _none(text, _STATUSES, "--decision" if text in _DECISIONS else None)
    return _STATUSES[text]


def _none(text: str, known: Iterable[str], other: str | None) -> typer.BadParameter:
    # `log list` shows how calls stand: a word that is copied from there is to find its option.
    elsewhere = f"; `{other} {text}` asks for that" if other is not None else ""
    return typer.BadParameter(f"{text!r} is not one of {', '.join(known)}{elsewhere}")


def _begun(known: Iterable[str], incomplete: str) -> list[str]:
    return [one for one in known if one.startswith(incomplete)]


Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Begun then or later: RFC 3339, or 2h back.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Begun before then.")]
After = Annotated[int, typer.Option("--after", metavar="SEQ", min=0, help="Only what has a higher seq.")]
ByIdentity = Annotated[
    str | None,
    typer.Option("--identity", metavar="NAME", help="Only this identity's.", autocompletion=completing.identities),
]
ByTool = Annotated[
    str | None,
    typer.Option("--tool", metavar="GLOB", help="Only tools that match: git/git_*.", autocompletion=completing.tools),
]
ByDecision = Annotated[
    Ended | None,
    typer.Option(
        "--decision",
        metavar=f"[{'|'.join(_DECISIONS)}]",
        help="Only what was so decided.",
        parser=_decision,
        autocompletion=lambda incomplete: _begun(_DECISIONS, incomplete),
    ),
]
ByStatus = Annotated[
    Status | None,
    typer.Option(
        "--status",
        metavar=f"[{'|'.join(_STATUSES)}]",
        help="Only what stands so.",
        parser=_status,
        autocompletion=lambda incomplete: _begun(_STATUSES, incomplete),
    ),
]
Running = Annotated[bool, typer.Option("--running", help="Also what has not ended yet.")]


@contextmanager
def reader(config: Path) -> Iterator[Reader]:
    """The record of the configuration at this path, read-only. Raises RecordUnavailable where there is none."""
    from shim.store.reader import Reader

    # Values from the environment are for those who call upstreams: reading needs none.
    with Reader(store_path(configuration(config, expand=False))) as record:
        yield record


@contextmanager
def reader_if_any(config: Path) -> Iterator[Reader | None]:
    """As `reader`; None where nothing was recorded yet: there is neither a store nor a trace of one that was there."""
    from shim.store.files import CHECKPOINTS, beside
    from shim.store.reader import Reader

    path = store_path(configuration(config, expand=False))
    if not any(os.path.lexists(found) for found in (path, beside(path, CHECKPOINTS))):
        yield None
        return
    with Reader(path) as record:
        yield record


def say_nothing_yet() -> None:
    """Tell a person why there is no answer."""
    output.say("nothing was recorded yet")


def query(
    since: str | None,
    until: str | None,
    after: int,
    identity: str | None,
    tool: str | None,
    decision: Ended | None,
    status: Status | None,
    running: bool,
) -> Query:
    """What the filters ask for. Raises Stop for one that cannot be understood."""
    from shim.policy.globs import Glob
    from shim.record.queries import Query

    now = datetime.now(UTC)
    try:
        matches = Glob(tool).matches if tool is not None else None
    except ValueError as error:
        raise usage(f"--tool: {error}") from None
    return Query(
        since=moment(since, "--since", now) if since is not None else None,
        until=moment(until, "--until", now) if until is not None else None,
        after=after,
        identity=identity,
        tool=matches,
        decision=decision,
        status=status,
        running=running,
    )
