"""Reading the record: what is listed, in which order, and when."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shim.errors import RecordUnavailable
from shim.model import JsonObject, Outcome, Status
from shim.record.export import FORMATS
from shim.record.invocation import FIELDS
from shim.record.queries import Query, follow, listed, newest, no_stats, show, stats
from shim.store import reader as reading
from shim.store.reader import Reader
from shim.store.sqlite import SqliteStore
from tests.record.given import BEGAN, DENIED, GRANTED, call, ok, recorded


def ids(path: Path, query: Query | None = None) -> list[str]:
    with Reader(path) as reader:
        return [item["id"] for item in listed(reader, query or Query())]


async def fill(path: Path) -> None:
    async with recorded(path) as record:
        await record.intent(call("slow", minute=0), GRANTED)
        await record.intent(call("quick", minute=1, tool="git/git_log"), GRANTED)
        await record.outcome(call("quick"), ok())
        await record.intent(call("denied", minute=2, identity="me"), DENIED)
        await record.intent(call("broken", minute=3, identity="me", tool="time/now"), GRANTED)
        await record.outcome(call("broken"), Outcome(Status.FAILED, 1.0, error="upstream-timeout: no answer"))
        await record.outcome(call("slow"), Outcome(Status.ERROR, 1.0, {"isError": True}, 10))
        await record.event("payload.blanked", {"parts": ["arguments"]}, "quick")


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    await fill(tmp_path / "shim.db")
    return tmp_path / "shim.db"


async def test_the_order_is_that_of_each_ones_last_event(path: Path) -> None:
    with Reader(path) as reader:
        items = list(listed(reader, Query()))
    assert [item["id"] for item in items] == ["quick", "denied", "broken", "slow"]
    assert [item["seq"] for item in items] == sorted(item["seq"] for item in items)
    assert all(tuple(item) == FIELDS for item in items)
    assert [item["status"] for item in items] == ["ok", "denied", "failed", "error"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (Query(identity="me"), ["denied", "broken"]),
        (Query(identity="nobody"), []),
        (Query(decision="deny"), ["denied"]),
        (Query(status=Status.ERROR), ["slow"]),
        (Query(tool=lambda tool: tool.startswith("git/")), ["quick", "denied", "slow"]),
        (Query(since=BEGAN + timedelta(minutes=1)), ["quick", "denied", "broken"]),
        (Query(until=BEGAN + timedelta(minutes=2)), ["quick", "slow"]),
        (Query(since=BEGAN + timedelta(minutes=1), until=BEGAN + timedelta(minutes=3)), ["quick", "denied"]),
        (Query(since=BEGAN + timedelta(days=1)), []),
        (Query(identity="bot", status=Status.OK), ["quick"]),
    ],
)
async def test_what_is_asked_for_is_given(path: Path, query: Query, wanted: list[str]) -> None:
    assert ids(path, query) == wanted
    with Reader(path) as reader:
        assert stats(reader, query)["invocations"] == len(wanted)


async def test_after_a_seq_comes_what_settled_later(path: Path) -> None:
    with Reader(path) as reader:
        items = list(listed(reader, Query()))
    assert ids(path, Query(after=items[1]["seq"])) == ["broken", "slow"]


async def test_the_newest_come_in_order_of_seq(path: Path) -> None:
    with Reader(path) as reader:
        assert [item["id"] for item in newest(reader, Query(), 2)] == ["broken", "slow"]
        assert [item["id"] for item in newest(reader, Query(identity="me"), 1)] == ["broken"]
        assert [item["id"] for item in newest(reader, Query(), 99)] == ["quick", "denied", "broken", "slow"]


async def test_pages_join_without_a_seam(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ids(path)
    for size in (1, 2, 3, 4):
        monkeypatch.setattr(reading, "PAGE", size)
        assert ids(path) == whole
        with Reader(path) as reader:
            assert [item["id"] for item in newest(reader, Query(), 99)] == whole
            assert [event.seq for event in reader.events()] == list(range(1, reader.count("events") + 1))


async def test_running_ones_come_only_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path) as record:
        await record.intent(call("runs"), GRANTED)
        assert ids(path) == []
        assert ids(path, Query(running=True)) == ["runs"]
        assert ids(path, Query(status=Status.RUNNING)) == ["runs"]
        with Reader(path) as reader:
            item = next(listed(reader, Query(running=True)))
            assert (item["status"], item["duration_ms"], item["result"]) == ("running", None, None)
            assert stats(reader, Query())["status"] == {"running": 1}
    assert ids(path) == ["runs"]
    assert ids(path, Query(status=Status.UNKNOWN)) == ["runs"]
    with Reader(path) as reader:
        assert stats(reader, Query())["status"] == {"unknown": 1}


async def test_an_unknown_id_is_none(path: Path) -> None:
    with Reader(path) as reader:
        assert show(reader, "nobody") is None


async def test_stats_count(path: Path) -> None:
    with Reader(path) as reader:
        found = stats(reader, Query())
    assert found["invocations"] == 4
    assert found["status"] == {"denied": 1, "failed": 1, "ok": 1, "error": 1}
    assert found["decision"] == {"allow": 3, "deny": 1}
    assert found["identity"] == {"bot": 2, "me": 2}
    assert found["tool"] == {"git/git_status": 2, "git/git_log": 1, "time/now": 1}
    assert found["events"] == 11


class Enough(Exception):
    pass


async def test_following_gives_what_comes_and_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path) as record:
        await record.intent(call("early"), DENIED)
        loop = asyncio.get_running_loop()
        later: list[Callable[[], Any]] = [
            lambda: record.intent(call("first"), GRANTED),
            lambda: record.event("test", {}),
            lambda: record.intent(call("second"), DENIED),
            lambda: record.outcome(call("first"), ok()),
        ]

        def wait() -> None:
            if not later:
                raise Enough
            asyncio.run_coroutine_threadsafe(later.pop(0)(), loop).result(10)

        def read() -> list[JsonObject]:
            found: list[JsonObject] = []
            with Reader(path) as reader, suppress(Enough):
                for item in follow(reader, Query(), wait):
                    found.append(item)  # noqa: PERF402 - what came before the end must be kept
            return found

        found = await asyncio.to_thread(read)
    assert [item["id"] for item in found] == ["early", "second", "first"]


async def test_reading_goes_on_beside_writing(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path) as record:
        for number in range(5):
            await record.intent(call(f"i{number}"), DENIED)
        with Reader(path) as reader, reader.snapshot():
            before = reader.count("events")
            await record.intent(call("more"), DENIED)
            assert reader.count("events") == before
        assert ids(path)[-1] == "more"


async def test_a_reader_works_after_all_writers_are_gone(path: Path) -> None:
    for leftover in path.parent.glob("shim.db-*"):
        assert leftover.name in ("shim.db-wal", "shim.db-shm")
    assert len(ids(path)) == 4
    async with SqliteStore.open(path, "again"):
        assert len(ids(path)) == 4


async def test_a_row_of_nobodys_making_is_named_and_no_traceback(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute("""UPDATE events SET event = json_remove(event, '$.body.process') WHERE kind = 'intent'""")
    raw.commit()
    raw.close()
    with pytest.raises(RecordUnavailable, match="verify the record"):
        ids(path)


async def test_what_concerns_no_tool_matches_none_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path) as record:
        await record.intent(call("none", tool=None), DENIED)
        # As an earlier writer may have put it.
        body = {**_intent_of(path, "none"), "tool": ""}
        await record.event("intent", {**body, "arguments_sha256": None}, "empty")
    with Reader(path) as reader:
        assert [item["tool"] for item in listed(reader, Query())] == [None, None]
        assert list(listed(reader, Query(tool=lambda _: True))) == []
        found = stats(reader, Query())
        assert (found["invocations"], found["tool"]) == (2, {})
        assert stats(reader, Query(tool=lambda _: True))["invocations"] == 0
        row = next(iter(FORMATS["csv"](listed(reader, Query()))))
        assert row.startswith(b"id,")


def _intent_of(path: Path, name: str) -> JsonObject:
    with Reader(path) as reader:
        found = show(reader, name)
    assert found is not None
    body: JsonObject = found["events"][0]["body"]
    return body


async def test_nothing_counted_has_the_shape_of_something_counted(path: Path) -> None:
    with Reader(path) as reader:
        found = stats(reader, Query())
    assert list(no_stats()) == list(found)
    assert no_stats()["status"] == {}
