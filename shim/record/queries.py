"""Reading the record: what `log list`, `show`, `stats`, `tail` and `export` are made of.

Everything streams: no call holds more of a store than a page.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from shim import jsontext
from shim.errors import InvalidText, RecordUnavailable
from shim.model import JsonObject, Status
from shim.record.invocation import Invocation
from shim.store.chain import stamp
from shim.store.reader import Event, Reader, Selection


@dataclass(frozen=True, slots=True)
class Query:
    """Which invocations to read.

    `since` (inclusive) and `until` (exclusive) bound when they began; `after` is a seq; `tool` a predicate on
    `upstream/tool`; `decision` is the one that held at the end; running ones are left out unless `running`, or the
    status that is asked for.
    """

    since: datetime | None = None
    until: datetime | None = None
    after: int = 0
    identity: str | None = None
    tool: Callable[[str], bool] | None = None
    decision: str | None = None
    status: Status | None = None
    running: bool = False

    def selection(self) -> Selection:
        """The part of it that the store decides."""
        return Selection(
            since=stamp(self.since) if self.since is not None else None,
            until=stamp(self.until) if self.until is not None else None,
            after=self.after,
            identity=self.identity,
            decision=self.decision,
        )

    def takes_tool(self, tool: str | None) -> bool:
        """Whether the tool is one that is asked for; what concerns none matches no predicate."""
        return self.tool is None or (tool is not None and self.tool(tool))

    def takes(self, invocation: Invocation) -> bool:
        """The rest of it."""
        if not self.takes_tool(invocation.tool):
            return False
        if self.status is not None:
            return invocation.status == self.status
        return self.running or invocation.status != Status.RUNNING


class _Alive:
    # Asked once a process and query: a listing shows one moment, and the file system is slow.
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, bool] = {}

    def __call__(self, process: str) -> bool:
        if process not in self._known:
            self._known[process] = self._reader.is_alive(process)
        return self._known[process]


def _invocations(reader: Reader, query: Query, *, newest_first: bool = False) -> Iterator[Invocation]:
    alive = _Alive(reader)
    for row in reader.rows(query.selection(), newest_first=newest_first):
        with _readable(row.seq):
            invocation = Invocation(row, alive)
        if query.takes(invocation):
            yield invocation


@contextmanager
def _readable(seq: int) -> Iterator[None]:
    # Only what somebody else wrote into the record can fail so.
    try:
        yield
    except (KeyError, TypeError, ValueError, InvalidText) as error:
        raise RecordUnavailable(f"the invocation that ends at seq {seq} cannot be read: verify the record") from error


def _exported(invocation: Invocation, reader: Reader) -> JsonObject:
    with _readable(invocation.seq):
        return invocation.exported(reader)


def listed(reader: Reader, query: Query) -> Iterator[JsonObject]:
    """The exported objects, in order of seq."""
    for invocation in _invocations(reader, query):
        yield _exported(invocation, reader)


def newest(reader: Reader, query: Query, count: int) -> list[JsonObject]:
    """The last `count` exported objects, in order of seq."""
    found = list(itertools.islice(_invocations(reader, query, newest_first=True), count))
    return [_exported(invocation, reader) for invocation in reversed(found)]


def show(reader: Reader, invocation: str) -> JsonObject | None:
    """One exported object with `events`, its events in order; None for an id that is not on the record."""
    row = reader.row(invocation)
    if row is None:
        return None
    with _readable(row.seq):
        found = Invocation(row, reader.is_alive).exported(reader)
    found["events"] = [event_object(event) for event in reader.events_of(invocation)]
    return found


def event_object(event: Event) -> JsonObject:
    """An event as an object: `seq time kind invocation body`, and its `hash`."""
    return {**jsontext.parse_object(event.text), "hash": event.hash.hex()}


def exported_events(reader: Reader, after: int = 0) -> Iterator[JsonObject]:
    """Each event as `{"seq", "event", "hash"}`, event as the stored text: what can be verified elsewhere."""
    for event in reader.events(after):
        yield {"seq": event.seq, "event": event.text.decode("utf-8"), "hash": event.hash.hex()}


def follow(reader: Reader, query: Query, wait: Callable[[], None], position: int | None = None) -> Iterator[JsonObject]:
    """What `listed` gives, and then what comes, for ever; `wait` is called between looks and may raise to end it.

    With `position`, only what comes after that seq. A running invocation, where those are asked for, comes again when
    it has ended.
    """
    after = query.after if position is None else position
    while True:
        before, head = reader.changes(), reader.head()
        for item in listed(reader, replace(query, after=after)):
            after = item["seq"]
            yield item
        after = max(after, head.seq if head is not None else 0)
        while reader.changes() == before:
            wait()


def stats(reader: Reader, query: Query) -> JsonObject:
    """Counts: `invocations`, also by `status`, `decision`, `identity` and, where there is one, `tool`; all `events`."""
    alive = _Alive(reader)
    counts = _counters()
    total = 0
    for identity, tool, decision, stored, process, count in reader.totals(query.selection()):
        status = _status(decision, stored, process, alive)
        if not query.takes_tool(tool):
            continue
        if query.status is not None and status != query.status:
            continue
        total += count
        for name, value in zip(counts, (status.value, decision, identity, tool), strict=True):
            if value is not None:
                counts[name][value] += count
    return _stats(reader.count("events"), total, counts)


def no_stats() -> JsonObject:
    """What `stats` gives of a record on which nothing stands."""
    return _stats(0, 0, _counters())


def _counters() -> dict[str, Counter[str]]:
    return {name: Counter() for name in ("status", "decision", "identity", "tool")}


def _stats(events: int, total: int, counts: dict[str, Counter[str]]) -> JsonObject:
    return {
        "events": events,
        "invocations": total,
        **{name: dict(counter.most_common()) for name, counter in counts.items()},
    }


def _status(decision: str, stored: str | None, process: str, alive: Callable[[str], bool]) -> Status:
    if stored is not None:
        return Status(stored)
    if decision == "deny":
        return Status.DENIED
    return Status.RUNNING if alive(process) else Status.UNKNOWN
