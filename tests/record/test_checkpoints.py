"""Checkpoints: when they are written, with which key, and where."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shim.errors import RecordUnavailable
from shim.record.checkpoints import (
    Checkpoint,
    append_line,
    file_path,
    key_path,
    lines,
    load_key,
    load_public,
    public_pem,
    text,
)
from shim.record.verify import verify_store
from shim.store.reader import Reader
from tests.record.given import PUBLIC, recorded


def count(path: Path) -> int:
    with Reader(path) as reader:
        assert verify_store(reader, PUBLIC).ok
        return reader.count("checkpoints")


def not_vouched_for(path: Path) -> int:
    with Reader(path) as reader:
        head = reader.head()
        assert head is not None
        return head.seq - max((row.seq for row in reader.checkpoints()), default=0)


async def test_one_comes_after_so_many_events(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path, checkpoint_events=20) as record:
        for _ in range(5):
            await asyncio.gather(*(record.event("test", {}) for _ in range(20)))
        for _ in range(500):
            if not_vouched_for(path) <= 20:
                break
            await asyncio.sleep(0.01)
        assert not_vouched_for(path) <= 20
        assert count(path) >= 2
    found = [item.seq for item in lines(file_path(path))]
    assert found == sorted(found)


async def test_one_comes_with_time_if_there_is_news_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path, checkpoint_seconds=0.05) as record:
        await record.event("test", {})
        for _ in range(500):
            if count(path):
                break
            await asyncio.sleep(0.01)
        before = count(path)
        assert before
        # Several periods without news: nothing can be waited for.
        await asyncio.sleep(0.3)
        assert count(path) == before


async def test_one_comes_at_the_end_and_vouches_for_all_before(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with recorded(path) as record:
        await record.event("test", {})
    with Reader(path) as reader:
        head = reader.head()
        assert head is not None
        last = list(lines(file_path(path)))[-1]
        assert last.seq == head.seq - 1
        assert last.is_signed_by(PUBLIC)
    assert stat.S_IMODE(file_path(path).stat().st_mode) == 0o600


def test_the_signed_text_is_the_contracts() -> None:
    assert text(7, "ab" * 32, "2026-11-01T12:00:00.000000Z") == (
        b"mcp-shim checkpoint\n7\n" + b"ab" * 32 + b"\n2026-11-01T12:00:00.000000Z\n"
    )


def test_a_key_is_made_for_its_owner_alone_and_then_kept(tmp_path: Path) -> None:
    path = key_path(tmp_path / "deep" / "shim.db")
    key = load_key(path)
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["shim.key"]
    assert load_key(path).private_bytes_raw() == key.private_bytes_raw()
    assert load_public(public_pem(key)).public_bytes_raw() == key.public_key().public_bytes_raw()


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    load_key(path)
    path.chmod(0o640)
    with pytest.raises(RecordUnavailable, match="chmod 600"):
        load_key(path)


def test_a_link_in_place_of_a_key_is_refused(tmp_path: Path) -> None:
    load_key(tmp_path / "real")
    (tmp_path / "key").symlink_to(tmp_path / "real")
    with pytest.raises(RecordUnavailable):
        load_key(tmp_path / "key")


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(RecordUnavailable):
        load_key(path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    other = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    path.chmod(0o600)
    with pytest.raises(RecordUnavailable, match="Ed25519"):
        load_key(path)


def test_a_torn_line_takes_no_other_with_it(tmp_path: Path) -> None:
    store = tmp_path / "shim.db"
    first, second = Checkpoint(1, "a" * 64, "t", b"1"), Checkpoint(2, "b" * 64, "t", b"2")
    append_line(store, first)
    with file_path(store).open("ab") as file:
        file.write(b'{"seq":99,"ha')
    append_line(store, second)
    assert list(lines(file_path(store))) == [first, second]
