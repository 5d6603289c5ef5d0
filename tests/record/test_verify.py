"""P5: what was changed afterwards is found, in a store and in an export, wherever it was changed."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.model import JsonObject
from shim.record.checkpoints import append_line, body, file_path, from_body, lines, sign
from shim.record.config import RecordBlock
from shim.record.queries import exported_events
from shim.record.verify import Expected, Verdict, verify_events, verify_store
from shim.store.chain import GENESIS, link
from shim.store.reader import Reader
from shim.store.tx import Head
from tests.record.given import DENIED, GRANTED, KEY, PUBLIC, call, ok, recorded

OTHER = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)


async def _write(path: Path) -> None:
    async with recorded(path, RecordBlock(arguments="full", results="full"), checkpoint_events=5) as record:
        for number in range(12):
            await record.intent(call(f"i{number}", {"n": number}), GRANTED)
            await record.outcome(call(f"i{number}"), ok())
        await record.intent(call("denied"), DENIED)
        await record.loaded("d" * 64, [("shim.yaml", "version: 1"), ("more.yaml", "")])
    async with recorded(path, RecordBlock(results="digest"), instance="second") as record:
        await record.intent(call("j", {"n": 1}), GRANTED)
        await record.outcome(call("j"), ok())


@cache
def original() -> Path:
    """A store with a bit of everything, written once."""
    path = Path(mkdtemp(prefix="verify-")) / "shim.db"
    asyncio.run(_write(path))
    return path


@cache
def exported() -> tuple[JsonObject, ...]:
    with Reader(original()) as reader:
        return tuple(exported_events(reader))


def as_lines(items: list[JsonObject]) -> list[bytes]:
    return [json.dumps(item).encode() for item in items]


@contextmanager
def copied(folder: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """A copy of the store, and a connection to do it harm."""
    path = folder / "shim.db"
    for made in (original(), file_path(original())):
        shutil.copy(made, folder / made.name)
    raw = sqlite3.connect(path, isolation_level=None)
    yield path, raw
    raw.close()


def verdict_of(path: Path, expected: Expected | None = None) -> Verdict:
    with Reader(path) as reader:
        return verify_store(reader, PUBLIC, expected=expected)


def test_what_was_not_touched_verifies(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with copied(tmp_path) as (path, _), Reader(path) as reader:
        verdict = verify_store(reader, PUBLIC, progress=lambda done, total: seen.append((done, total)))
        assert verdict.to_json() == {
            "ok": True,
            "events": len(exported()),
            "head": exported()[-1]["hash"],
            "broken_at": None,
            "what": None,
        }
        assert seen == [(verdict.events, verdict.events)]
    assert verify_events(as_lines(list(exported())), PUBLIC) == verdict
    assert verify_events(as_lines(list(exported())), None) == verdict


# --- the chain, as exported ---


@given(st.data())
@settings(deadline=None)
def test_a_flipped_bit_is_found(data: st.DataObject) -> None:
    items = [dict(item) for item in exported()]
    index = data.draw(st.integers(0, len(items) - 1))
    part = data.draw(st.sampled_from(["event", "hash"]))
    raw = bytearray(items[index]["event"].encode() if part == "event" else bytes.fromhex(items[index]["hash"]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 6))
    items[index][part] = raw.decode() if part == "event" else raw.hex()
    verdict = verify_events(as_lines(items), PUBLIC)
    assert (verdict.ok, verdict.broken_at) == (False, index + 1)


def rewritten(items: list[JsonObject], start: int, count: int = 1) -> None:
    """Give `count` rows the hashes that their texts would have."""
    head = bytes.fromhex(items[start - 1]["hash"]) if start else GENESIS
    for item in items[start : start + count]:
        head = link(head, item["event"].encode())
        item["hash"] = head.hex()


def renumbered(items: list[JsonObject], start: int) -> None:
    for number, item in enumerate(items[start:], start + 1):
        event = json.loads(item["event"])
        event["seq"] = item["seq"] = number
        item["event"] = json.dumps(event, separators=(",", ":"))


@given(st.data())
@settings(deadline=None)
def test_a_deleted_event_is_found(data: st.DataObject) -> None:
    items = [dict(item) for item in exported()]
    index = data.draw(st.integers(0, len(items) - 2))
    del items[index]
    if data.draw(st.booleans()):
        renumbered(items, index)
        rewritten(items, index)
    verdict = verify_events(as_lines(items), PUBLIC)
    assert not verdict.ok
    assert verdict.broken_at is not None
    assert verdict.broken_at >= index + 1


@given(st.data())
@settings(deadline=None)
def test_an_inserted_event_is_found(data: st.DataObject) -> None:
    items = [dict(item) for item in exported()]
    index = data.draw(st.integers(0, len(items) - 1))
    items.insert(index, dict(items[data.draw(st.integers(0, len(items) - 1))]))
    if data.draw(st.booleans()):
        renumbered(items, index)
        rewritten(items, index)
    assert not verify_events(as_lines(items), PUBLIC).ok


@given(st.data())
@settings(deadline=None)
def test_swapped_events_are_found(data: st.DataObject) -> None:
    items = [dict(item) for item in exported()]
    first = data.draw(st.integers(0, len(items) - 2))
    second = data.draw(st.integers(first + 1, len(items) - 1))
    items[first], items[second] = items[second], items[first]
    if data.draw(st.booleans()):
        renumbered(items, first)
        rewritten(items, first)
    assert not verify_events(as_lines(items), PUBLIC).ok


@given(st.data())
@settings(deadline=None)
def test_a_chain_written_anew_is_found_by_its_checkpoints(data: st.DataObject) -> None:
    items = [dict(item) for item in exported()]
    last = max(index for index, item in enumerate(items) if '"kind":"checkpoint"' in item["event"])
    index = data.draw(st.integers(0, last - 1))
    items[index]["event"] = items[index]["event"].replace("2026", "2025", 1)
    rewritten(items, index, len(items))
    verdict = verify_events(as_lines(items), PUBLIC)
    assert not verdict.ok
    assert "checkpoint" in str(verdict.what)


def test_a_checkpoint_of_another_key_is_found() -> None:
    items = [dict(item) for item in exported()]
    index = max(index for index, item in enumerate(items) if '"kind":"checkpoint"' in item["event"])
    event = json.loads(items[index]["event"])
    before = Head(items[index - 1]["seq"], bytes.fromhex(items[index - 1]["hash"]))
    event["body"] = body(sign(OTHER, before, event["body"]["time"]))
    items[index]["event"] = json.dumps(event, separators=(",", ":"))
    rewritten(items, index)
    verdict = verify_events(as_lines(items), PUBLIC)
    assert (verdict.broken_at, verdict.what) == (index + 1, "the checkpoint is not signed by the key")


def test_a_kept_checkpoint_finds_truncation_and_another_history() -> None:
    items = list(exported())
    kept = Expected(items[19]["seq"], items[19]["hash"])
    assert verify_events(as_lines(items), PUBLIC, expected=kept).ok
    cut = verify_events(as_lines(items[:15]), PUBLIC, expected=kept)
    assert (cut.ok, cut.broken_at) == (False, 16)
    other = verify_events(as_lines(items), PUBLIC, expected=Expected(20, "0" * 64))
    assert (other.ok, other.broken_at) == (False, 20)


@pytest.mark.parametrize(
    "line", [b"not json", b"{}", b"[]", b'{"seq":1,"event":5,"hash":""}', b'{"seq":1,"event":"{}","hash":"zz"}', b"5"]
)
def test_a_line_that_is_no_event_is_named(line: bytes) -> None:
    verdict = verify_events([*as_lines(list(exported())[:2]), line], PUBLIC)
    assert (verdict.ok, verdict.broken_at) == (False, 3)
    assert "line 3" in str(verdict.what)


@given(st.binary(max_size=200))
def test_no_text_makes_it_fail_otherwise_than_by_a_verdict(content: bytes) -> None:
    assert verify_events(content.splitlines(), PUBLIC).ok in (True, False)
    text = content.decode("utf-8", "replace")
    line = json.dumps({"seq": 1, "event": text, "hash": link(GENESIS, text.encode()).hex()}).encode()
    assert not verify_events([line], PUBLIC).ok


def test_an_event_of_nobodys_making_is_a_verdict_too() -> None:
    for forged in ({"kind": "checkpoint", "body": {"seq": 0}}, {"kind": "intent", "body": {"arguments_sha256": 5}}):
        text = json.dumps({"seq": 1, "time": "", "kind": forged["kind"], "invocation": None, "body": forged["body"]})
        line = json.dumps({"seq": 1, "event": text, "hash": link(GENESIS, text.encode()).hex()}).encode()
        assert isinstance(verify_events([line], PUBLIC), Verdict)


@pytest.mark.parametrize("text", ["", "5", "x:" + "a" * 64, "5:" + "A" * 64, "5:abc", "-5:" + "a" * 64])
def test_what_is_no_checkpoint_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="SEQ:HASH"):
        Expected.parse(text)


# --- the store, with what hangs on the chain ---

Harm = Callable[[sqlite3.Connection], object]

HARMS: dict[str, tuple[str, str]] = {
    "an edited event": ("UPDATE events SET event = replace(event, 'bot', 'me') WHERE seq = 4", "hash"),
    "a deleted event": ("DELETE FROM events WHERE seq = 4", "missing"),
    "no first event": ("DELETE FROM events WHERE seq = 1", "missing"),
    "an event as bytes of another kind": ("UPDATE events SET hash = zeroblob(32) WHERE seq = 4", "hash"),
    "a hash that is no hash": ("UPDATE events SET hash = 5 WHERE seq = 4", "hash"),
    "truncation": ("DELETE FROM events WHERE seq > 20", "vouches"),
    "edited arguments": ("UPDATE payloads SET content = '{}' WHERE invocation = 'i3' AND part = 'arguments'", "digest"),
    "an edited salt": ("UPDATE payloads SET salt = zeroblob(16) WHERE invocation = 'i3'", "digest"),
    "an edited salt without content": (
        "UPDATE payloads SET salt = zeroblob(16) WHERE invocation = 'j' AND part = 'result'",
        "salt",
    ),
    "a salt that is no salt": ("UPDATE payloads SET salt = 5 WHERE invocation = 'i3'", "digest"),
    "content that is no content": ("UPDATE payloads SET content = 5 WHERE invocation = 'i3'", "digest"),
    "missing arguments": ("DELETE FROM payloads WHERE invocation = 'i3' AND part = 'arguments'", "blanked"),
    "a missing result": ("DELETE FROM payloads WHERE invocation = 'j' AND part = 'result'", "blanked"),
    "content where none was kept": (
        "UPDATE payloads SET content = '{}' WHERE invocation = 'j' AND part = 'result'",
        "kept",
    ),
    "no content where some was": ("UPDATE payloads SET content = NULL WHERE invocation = 'i3'", "kept"),
    "arguments of nobody": ("INSERT INTO payloads VALUES ('x', 'result', zeroblob(16), '{}')", "no event"),
    "a missing row of a checkpoint": (
        "DELETE FROM checkpoints WHERE seq = (SELECT min(seq) FROM checkpoints)",
        "table",
    ),
    "an edited row of a checkpoint": ("UPDATE checkpoints SET time = 'x'", "table"),
    "an edited configuration": ("UPDATE policies SET content = 'version: 2' WHERE position = 0", "configuration"),
    "a missing configuration": ("DELETE FROM policies WHERE position = 1", "configuration"),
    "a checkpoint more": ("INSERT INTO checkpoints VALUES (3, zeroblob(32), 'x', zeroblob(64))", "not an event"),
}


@pytest.mark.parametrize("name", HARMS)
def test_harm_to_a_store_is_found(tmp_path: Path, name: str) -> None:
    statement, said = HARMS[name]
    with copied(tmp_path) as (path, raw):
        assert raw.execute(statement).rowcount
        verdict = verdict_of(path)
    assert not verdict.ok
    assert said in str(verdict.what)


def test_computed_columns_cannot_be_written_and_not_be_defined_anew(tmp_path: Path) -> None:
    with copied(tmp_path) as (path, raw):
        with pytest.raises(sqlite3.OperationalError, match="generated column"):
            raw.execute("UPDATE events SET identity = 'me'")
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute(
            "UPDATE sqlite_master SET sql = replace(sql, '$.body.identity', '$.body.tool') WHERE name = 'events'"
        )
        raw.execute("PRAGMA writable_schema = RESET")
        assert "columns" in str(verdict_of(path).what)


def test_truncation_is_found_while_the_file_of_checkpoints_is_kept(tmp_path: Path) -> None:
    with copied(tmp_path) as (path, raw):
        # As an attacker who may write the store, and nothing else.
        last = raw.execute("SELECT seq FROM events WHERE kind = 'checkpoint' ORDER BY seq DESC LIMIT 1").fetchone()[0]
        raw.execute("DELETE FROM events WHERE seq >= ?", (last,))
        raw.execute("DELETE FROM checkpoints WHERE seq >= ?", (last - 1,))
        verdict = verdict_of(path)
        newest = list(lines(file_path(path)))[-1].seq
        # The checkpoint vouches for the event before it, which is still there: nothing that it covers is lost.
        assert newest == last - 1
        assert verdict.ok
        raw.execute("DELETE FROM events WHERE seq = ?", (last - 1,))
        verdict = verdict_of(path)
        assert (verdict.ok, verdict.broken_at) == (False, last - 1)
        assert "vouches" in str(verdict.what)


def test_a_line_of_the_file_that_the_key_did_not_sign_is_found(tmp_path: Path) -> None:
    with copied(tmp_path) as (path, _):
        append_line(path, sign(OTHER, Head(3, bytes(32)), "now"))
        assert "not signed" in str(verdict_of(path).what)


def test_a_line_that_vouches_for_another_history_is_found(tmp_path: Path) -> None:
    with copied(tmp_path) as (path, _):
        append_line(path, sign(KEY, Head(3, bytes(32)), "now"))
        verdict = verdict_of(path)
        assert (verdict.ok, verdict.broken_at) == (False, 3)


def test_a_blanked_payload_is_no_tampering(tmp_path: Path) -> None:
    async def blank(path: Path) -> None:
        async with recorded(path, instance="third") as record:
            await record.event("payload.blanked", {"parts": ["arguments"], "by": "retention"}, "i3")

    with copied(tmp_path) as (path, raw):
        asyncio.run(blank(path))
        raw.execute("DELETE FROM payloads WHERE invocation = 'i3' AND part = 'arguments'")
        assert verdict_of(path).ok
        raw.execute("DELETE FROM payloads WHERE invocation = 'i3' AND part = 'result'")
        assert not verdict_of(path).ok


def test_a_damaged_file_is_a_verdict(tmp_path: Path) -> None:
    with copied(tmp_path) as (path, _):
        pass
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 200] = bytes(200)
    path.write_bytes(content)
    verdict = verdict_of(path)
    assert not verdict.ok
    assert "damaged" in str(verdict.what)


def test_a_checkpoint_survives_being_a_body() -> None:
    checkpoint = sign(KEY, Head(3, bytes(32)), "now")
    assert from_body(json.loads(json.dumps(body(checkpoint)))) == checkpoint
    others: list[object] = [{**body(checkpoint), "signature": "xyz"}, {**body(checkpoint), "seq": "3"}, {}, [], None]
    for broken in others:
        assert from_body(broken) is None
