"""The forms in which the record leaves."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shim.model import JsonObject
from shim.record.config import RecordBlock
from shim.record.export import FORMATS
from shim.record.invocation import FIELDS
from shim.record.queries import Query, exported_events, listed
from shim.record.verify import verify_file
from shim.store.reader import Reader
from tests.record.given import DENIED, GRANTED, PUBLIC, call, ok, recorded

ODD = {"n": 2**70, "s": "\ud800\u202e", "nested": [1, {"a": None}]}


async def items(path: Path) -> list[JsonObject]:
    async with recorded(path, RecordBlock(arguments="full", results="full")) as record:
        await record.intent(call("i1", ODD), GRANTED)
        await record.outcome(call("i1"), ok(ODD))
        await record.intent(call("i2", tool="=cmd|' /C calc'!A0"), DENIED)
    with Reader(path) as reader:
        return list(listed(reader, Query()))


async def test_jsonl_carries_everything(tmp_path: Path) -> None:
    wanted = await items(tmp_path / "shim.db")
    written = b"".join(FORMATS["jsonl"](iter(wanted)))
    assert [json.loads(line) for line in written.splitlines()] == wanted


async def test_csv_is_a_header_and_a_row_each(tmp_path: Path) -> None:
    wanted = await items(tmp_path / "shim.db")
    rows = list(csv.DictReader(io.StringIO(b"".join(FORMATS["csv"](wanted)).decode(), newline="")))
    assert tuple(rows[0]) == FIELDS
    assert json.loads(rows[0]["arguments"]) == ODD
    assert json.loads(rows[0]["groups"]) == ["developers", "leads"]
    assert rows[0]["seq"] == str(wanted[0]["seq"])
    assert rows[0]["enforced"] == "true"
    assert rows[0]["approval"] == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "\uff1d1", "\0=1"])
async def test_csv_defuses_formulas(tmp_path: Path, text: str) -> None:
    item: JsonObject = {**dict.fromkeys(FIELDS), "tool": text, "duration_ms": -1.5}
    (row,) = list(csv.DictReader(io.StringIO(b"".join(FORMATS["csv"]([item])).decode(), newline="")))
    assert row["tool"].startswith(("'", "\ufffd"))
    assert row["duration_ms"] == "-1.5"


async def test_a_piece_is_written_as_soon_as_it_is_there(tmp_path: Path) -> None:
    wanted = await items(tmp_path / "shim.db")
    taken: list[str] = []

    def source() -> Iterator[JsonObject]:
        for item in wanted:
            taken.append(item["id"])
            yield item

    pieces = FORMATS["jsonl"](source())
    next(pieces)
    assert taken == ["i1"]


async def test_exported_events_verify_without_the_store(tmp_path: Path) -> None:
    await items(tmp_path / "shim.db")
    file = tmp_path / "events.jsonl"
    with Reader(tmp_path / "shim.db") as reader:
        file.write_bytes(b"".join(FORMATS["jsonl"](exported_events(reader))))
    first = json.loads(file.read_bytes().splitlines()[0])
    assert list(first) == ["seq", "event", "hash"]
    verdict = verify_file(file, PUBLIC)
    assert (verdict.ok, verdict.events) == (True, len(file.read_bytes().splitlines()))
