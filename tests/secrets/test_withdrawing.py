"""What a person allowed, deleted beside a process that refreshes it just then."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from shim.config.loader import load
from shim.secrets.given import Given
from shim.store.tx import GivenRow
from shim.withdrawing import withdraw
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


def _config(folder: Path, server: Server) -> dict[str, object]:
    return {
        "version": 1,
        "store": f"sqlite:{folder / 'shim.db'}",
        "server": {"url": "https://shim.test/mcp"},
        "upstreams": {},
        "secret_sources": {"idp": sources(folder, server)["idp"]},
        "secrets": {"allowed": ALLOWED},
    }
