"""What a person allowed, deleted beside a process that refreshes it just then."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shim.config.loader import load
from shim.secrets.given import Given
from shim.store.sqlite import SqliteStore
from shim.store.tx import GivenRow, Tx
from shim.withdrawing import NotEnded, withdraw
from tests.secrets.issuer import Server, serving
from tests.secrets.persons import ALLOWED, process, sources


async def test_what_was_refreshed_as_it_was_deleted_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server, process(tmp_path, server) as one:
        path = tmp_path / "shim.yaml"
        path.write_text(json.dumps(_config(tmp_path, server)))
        path.chmod(0o600)
        await one.agree("allowed")
        kept = Given.all
        handed: list[str] = []

        async def all_(self: Given, source: str | None = None) -> list[GivenRow]:
            rows = await kept(self, source)
            # Another process is quicker, after they were read.
            one.clock.ahead = timedelta(hours=2)
            handed.append(await one.lease("allowed"))
            return rows

        monkeypatch.setattr(Given, "all", all_)
        (row,) = await withdraw(load(path, {}), "alice", "allowed", {}, user="root")
        assert row.refreshed is not None
        assert len(handed) == 1
        assert handed[0] not in server.alive


async def test_what_one_server_does_not_end_keeps_no_other_from_ending_it(tmp_path: Path) -> None:
    # given two servers at which one person allowed the same secret, of which one is configured no more
    async with serving() as server, process(tmp_path, server) as one:
        path = tmp_path / "shim.yaml"
        path.write_text(json.dumps(_config(tmp_path, server)))
        path.chmod(0o600)
        await one.agree("allowed")
        async with SqliteStore.open(tmp_path / "shim.db", "before") as store:
            (row,) = await Given(store, lambda: datetime.now(UTC)).all()
            await store.commit(_Put(replace(row, source="a-former-one")))
        # when it is deleted
        with pytest.raises(NotEnded, match=r"a-former-one: it is not configured any more"):
            await withdraw(load(path, {}), "alice", "allowed", {}, user="root")
        # then it is, here and at the server that is there
        assert server.alive == {}
        async with SqliteStore.open(tmp_path / "shim.db", "after") as store:
            assert await Given(store, lambda: datetime.now(UTC)).all() == []


@dataclass(frozen=True)
class _Put:
    row: GivenRow

    def apply(self, tx: Tx) -> None:
        tx.put_given(self.row)


def _config(folder: Path, server: Server) -> dict[str, object]:
    return {
        "version": 1,
        "store": f"sqlite:{folder / 'shim.db'}",
        "server": {"url": "https://shim.test/mcp"},
        "upstreams": {},
        "secret_sources": {"idp": sources(folder, server)["idp"]},
        "secrets": {"allowed": ALLOWED},
    }
