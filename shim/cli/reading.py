"""Opening the record for reading, and the filters that verbs on it share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

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
ByDecision = Annotated[Ended | None, typer.Option("--decision", help="Only what was so decided.")]
ByStatus = Annotated[Status | None, typer.Option("--status", help="Only what stands so.")]
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
