"""Where the store lies: private, never through a link, never another program's file."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from shim.errors import RecordUnavailable
from shim.model import Offer
from shim.store.config import StoreUrl
from shim.store.files import BESIDE, beside, sidecar
from shim.store.liveness import is_alive
from shim.store.reader import Reader
from shim.store.sqlite import SqliteStore
from tests.store.units import Add


def names_in(folder: Path) -> set[str]:
    return {found.name for found in folder.iterdir()}


async def refusal(path: Path) -> str:
    with pytest.raises(RecordUnavailable) as caught:
        async with SqliteStore.open(path, "p", timeout=0.5):
            pass
    return str(caught.value)


async def test_everything_it_makes_is_for_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        async with SqliteStore.open(tmp_path / "a" / "b" / "shim.db", "p") as store:
            await store.commit(Add("x"))
            made = [tmp_path / "a", *(tmp_path / "a").rglob("*")]
            assert {path.name for path in made} >= {"b", "shim.db", "shim.db-wal", "shim.lock", "p"}
            for path in made:
                wanted = 0o700 if path.is_dir() else 0o600
                assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    finally:
        os.umask(old)


@pytest.mark.parametrize("name", ["shim.db", "shim.db-wal", "shim.db-shm", "shim.lock", "shim.turn"])
async def test_a_planted_link_is_not_followed(tmp_path: Path, name: str) -> None:
    aim = tmp_path / "aim"
    (tmp_path / name).symlink_to(aim)
    said = await refusal(tmp_path / "shim.db")
    assert str(tmp_path / name) in said
    assert not aim.exists()


@pytest.mark.parametrize(
    ("name", "stem"), [("shim.db", "shim"), ("shim", "shim"), ("a.b.db", "a.b"), (".hidden", ".hidden")]
)
async def test_what_lies_beside_a_store_has_its_name_without_suffix(tmp_path: Path, name: str, stem: str) -> None:
    path = tmp_path / name
    async with SqliteStore.open(path, "p") as store:
        await store.commit(Add("x"))
        found = names_in(tmp_path)
    assert found == {name, f"{name}-wal", f"{name}-shm", f"{stem}.lock", f"{stem}.turn", f"{stem}.alive"}
    assert sidecar(path, "-wal").name == f"{name}-wal"


@pytest.mark.parametrize("suffix", [*sorted(BESIDE), ".LOCK"])
async def test_a_store_that_would_be_one_of_its_own_files_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"shim{suffix}"
    assert "a file beside it has that suffix; call it shim.db" in await refusal(path)
    assert not names_in(tmp_path)
    with pytest.raises(ValueError, match=r"call it shim\.db"):
        StoreUrl.check(f"sqlite:{path}")


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs(x)")
    other.close()
    before = path.read_bytes()
    assert "another program" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "p"):
        pass
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 999")
    raw.close()
    assert "newer version" in await refusal(path)


async def test_what_is_no_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    path.write_bytes(b"not a database at all" * 100)
    assert "damaged" in await refusal(path)


def test_a_reader_says_where_there_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(RecordUnavailable, match=r"no record at .*nothing\.db"):
        Reader(tmp_path / "nothing.db")


async def test_a_process_is_alive_while_its_store_is_open(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    async with SqliteStore.open(path, "me"):
        assert is_alive(path, "me")
        assert not is_alive(path, "another")
        assert not is_alive(path, "../me")
        (beside(path, ".alive") / "gone").touch()
        assert not is_alive(path, "gone")
    assert not is_alive(path, "me")


async def test_the_last_offer_of_an_upstream_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    first = Offer("git", "modern", "2026-07-28", {"name": "s"}, {}, None, ({"name": "a", "n": 2**70},), 5.0)
    last = Offer("git", "legacy", "2025-11-25", {"name": "\ud800"}, {"tools": {}}, "hi", ({"name": "b"},))
    async with SqliteStore.open(path, "p") as store:
        await store.keep_offer(first)
        with Reader(path) as reader:
            assert reader.offers() == {"git": first}
        await store.keep_offer(last)
    with Reader(path) as reader:
        assert reader.offers() == {"git": last}


async def test_an_offer_that_was_kept_when_tools_were_all_there_was_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "shim.db"
    then = {"upstream": "git", "era": "modern", "protocol": "2026-07-28", "server": {}, "capabilities": {}}
    kept = json.dumps({**then, "instructions": None, "tools": [{"name": "a"}], "ttl": None}).encode()
    async with SqliteStore.open(path, "p"):
        with sqlite3.connect(path) as other:
            other.execute("INSERT INTO offers VALUES ('git', ?)", (kept,))
        other.close()
    with Reader(path) as reader:
        offer = reader.offers()["git"]
    assert offer == Offer("git", "modern", "2026-07-28", {}, {}, None, ({"name": "a"},))
    assert (offer.prompts, offer.resources, offer.templates) == ((), (), ())


@pytest.mark.parametrize(
    "junk", ["junk", "{}", '{"tools": 1}', '{"tools": [1]}', '{"upstream": "git", "tools": [], "new": 1}', None]
)
async def test_a_kept_offer_that_cannot_be_read_is_left_out(tmp_path: Path, junk: str | None) -> None:
    path = tmp_path / "shim.db"
    good = Offer("time", "modern", "2026-07-28", {}, {}, None, ())
    async with SqliteStore.open(path, "p") as store:
        await store.keep_offer(good)
        with sqlite3.connect(path) as other:
            other.execute("INSERT INTO offers VALUES ('git', ?)", (junk.encode() if junk is not None else 7,))
        other.close()
    with Reader(path) as reader:
        assert reader.offers() == {"time": good}
