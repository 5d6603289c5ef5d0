"""`log list | show | tail | stats`: reading the record."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from shim.cli import output
from shim.cli.errors import problem
from shim.cli.following import until_stopped, wait
from shim.cli.options import DEFAULT_CONFIG, AsJson, Config
from shim.cli.reading import (
    After,
    ByDecision,
    ByIdentity,
    ByStatus,
    ByTool,
    Running,
    Since,
    Until,
    query,
    reader,
    reader_if_any,
    say_nothing_yet,
)
from shim.cli.text import json_text, visible
from shim.model import Json, JsonObject, Status

_SHOWN = 50
"""How many of the newest a person is shown unless more are asked for."""

_COLUMNS = ("time", "identity", "tool", "status", "ms", "id")

Limit = Annotated[int | None, typer.Option("--limit", "-n", min=0, help="Only the newest so many.")]


def list_(
    config: Config = DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    after: After = 0,
    identity: ByIdentity = None,
    tool: ByTool = None,
    decision: ByDecision = None,
    status: ByStatus = None,
    running: Running = False,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """What was called, oldest first."""
    from shim.record import queries

    wanted = query(since, until, after, identity, tool, decision, status, running)
    with reader_if_any(config) as record:
        if record is None:
            output.json_array(()) if as_json else say_nothing_yet()
            return
        if as_json and limit is None:
            output.json_array(queries.listed(record, wanted))
            return
        count = _SHOWN if limit is None else limit
        # One more than is shown tells whether there is more.
        found = queries.newest(record, wanted, count + 1)
        more, found = len(found) > count, found[-count:] if count else []
        if as_json:
            output.json_array(found)
            return
        output.table(_COLUMNS, (_cells(row) for row in found), "nothing on the record matches")
        if more and limit is None:
            output.say(f"the newest {count}; --limit or --since shows more")


def _cells(row: JsonObject) -> tuple[str, ...]:
    time = row["time"].replace("T", " ")[:19]
    ms = "" if row["duration_ms"] is None else f"{row['duration_ms']:.0f}"
    status = row["status"] if row["status"] != Status.DENIED else f"denied: {row['reason']}"
    return (time, row["identity"], row["tool"] or "", status, ms, row["id"])


def show(
    id_: Annotated[str, typer.Argument(metavar="ID")], config: Config = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """One invocation, with all its events."""
    from shim.record import queries

    with reader(config) as record:
        found = queries.show(record, id_)
    if found is None:
        raise problem(f"{id_!r} is not on the record")
    if as_json:
        output.json_object(found)
        return
    events = found.pop("events")
    output.pairs((name, _value(value)) for name, value in found.items() if value is not None)
    output.line("")
    rows = ((str(event["seq"]), event["time"], event["kind"], event["hash"][:16]) for event in events)
    output.table(("seq", "time", "event", "hash"), rows, "")


def _value(value: Json) -> str:
    if isinstance(value, str):
        return visible(value, lines=True)
    if isinstance(value, dict | list) and value:
        # Escaped as JSON does it: what looks like an object here can be copied as one.
        return json.dumps(value, indent=2, ensure_ascii=True)
    return json_text(value)


def stats(
    config: Config = DEFAULT_CONFIG,
    since: Since = None,
    until: Until = None,
    identity: ByIdentity = None,
    tool: ByTool = None,
    decision: ByDecision = None,
    status: ByStatus = None,
    as_json: AsJson = False,
) -> None:
    """How much was called: by status, decision, identity and tool."""
    from shim.record import queries

    wanted = query(since, until, 0, identity, tool, decision, status, running=True)
    with reader_if_any(config) as record:
        found = queries.stats(record, wanted) if record is not None else queries.no_stats()
    if as_json:
        output.json_object(found)
        return
    if record is None:
        say_nothing_yet()
    totals = [(name, str(value)) for name, value in found.items() if not isinstance(value, dict)]
    output.pairs(totals)
    for name, counts in found.items():
        if isinstance(counts, dict) and counts:
            output.table((name, "calls"), ((key, str(count)) for key, count in counts.items()), "")


def tail(
    config: Config = DEFAULT_CONFIG,
    identity: ByIdentity = None,
    tool: ByTool = None,
    decision: ByDecision = None,
    status: ByStatus = None,
    running: Running = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Begin with the newest so many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """The newest calls, and then each as it ends, until interrupted."""
    from shim.record import queries

    wanted = query(None, None, 0, identity, tool, decision, status, running)
    write: Callable[[JsonObject], None] = output.json_object if as_json else _line
    with reader_if_any(config) as record, until_stopped():
        if record is None:
            if not as_json:
                say_nothing_yet()
            return
        head = record.head()
        position = head.seq if head is not None else 0
        for row in queries.newest(record, wanted, limit):
            position = max(position, row["seq"])
            write(row)
        sys.stdout.flush()
        for row in queries.follow(record, wanted, wait, position):
            write(row)
            sys.stdout.flush()


def _line(row: JsonObject) -> None:
    time, identity, tool, status, ms, id_ = (visible(cell) for cell in _cells(row))
    output.line(f"{time}  {identity:<16}  {tool:<32}  {status:<24}  {ms:>6}  {id_}")


def add_to(app: typer.Typer, *more: Callable[[typer.Typer], None]) -> None:
    """Add the group `log`, and what else belongs to it."""
    group = typer.Typer(no_args_is_help=True, help="Read, export and verify the record.", rich_markup_mode=None)
    group.command("list")(list_)
    group.command()(show)
    group.command()(tail)
    group.command()(stats)
    for add in more:
        add(group)
    app.add_typer(group, name="log")
