"""A team over HTTP: what the page says, and what its agents then have."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.docs.console import Command
from tests.docs.world import World, follow, free_port
from tests.examples.given import copied, faults, log, names, refusal, rows, text
from tests.examples.tickets import KEY, tickets


@asynccontextmanager
async def agent(url: str, token: str) -> AsyncIterator[Client]:
    # As it arrives through what ends TLS in front: the name that clients use, and where they are.
    headers = {"authorization": f"Bearer {token}", "host": "shim.example.com", "x-forwarded-for": "192.0.2.7"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


async def _work(url: str, support: str, triage: str) -> None:
    async with agent(url, support) as client:
        assert await names(client) == {
            "tickets__list_tickets",
            "tickets__get_ticket",
            "tickets__comment",
            "tickets__close_ticket",
            "time__convert_time",
            "time__get_current_time",
        }
        await text(client, "tickets__close_ticket", {"number": 7, "reason": "answered"})
        assert await refusal(client, "tickets__close_ticket", {"number": 8, "reason": "bored"}) == "condition-false"
    async with agent(url, triage) as client:
        assert "8: The invoice" in await text(client, "tickets__list_tickets", {})
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("tickets__close_ticket", {"number": 8, "reason": "answered"})


def _follow(world: World, url: str) -> None:
    tokens: dict[str, str] = {}

    def between(command: Command, told: str) -> None:
        if found := re.search(r"token new (\S+)", command.text):
            tokens[found[1]] = told.split()[-1]
        elif command.text == "mcp-shim serve":
            asyncio.run(_work(url, tokens["support-bot"], tokens["triage-bot"]))

    follow("examples/team/README.md", (world.folder / "README.md").read_text(), world, between=between)


async def test_each_agent_has_what_its_grants_say_and_the_key_stays_here(tmp_path: Path) -> None:
    # Given a ticket system that wants its key, and a port that is free
    world = copied("team", tmp_path)
    port = free_port()
    config = world.folder / "shim.yaml"
    config.write_text(config.read_text().replace("127.0.0.1:8765", f"127.0.0.1:{port}"))
    async with tickets() as behind:
        world.variables |= {"TICKETS_URL": behind, "TICKETS_KEY": KEY}

        # When the page is followed, and the agents work while the server runs
        await asyncio.to_thread(_follow, world, f"http://127.0.0.1:{port}/mcp")
        assert await asyncio.to_thread(faults, world) == []

    # Then the record says who did what with which secret, and the key lies in its file alone
    assert log(world) == [
        ("support-bot", "tickets/close_ticket", "ok"),
        ("support-bot", "tickets/close_ticket", "denied"),
        ("triage-bot", "tickets/list_tickets", "ok"),
        ("triage-bot", "tickets/close_ticket", "denied"),
    ]
    [row] = rows(world, "--identity support-bot", "--status ok")
    assert ([secret["name"] for secret in row["secrets"]], row["address"]) == (["tickets"], "192.0.2.7")
    holding = [path for path in world.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert holding == [world.folder / "secrets" / "tickets"]
