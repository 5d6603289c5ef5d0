"""A shim in front of SQL tools whose every call is a database role of its own, made by OpenBao for that call alone."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from shim.model import JsonObject
from tests.parts.odd import ROOT
from tests.parts.peers import node
from tests.parts.postgres import Postgres
from tests.promises.running import Running, identity, run, token, write_config
from tests.promises.wire import HttpPeer, http
from tests.secrets.vaults import Vaults

CREDS = "sys/leases/lookup/database/creds/reader"
WHO = "SELECT current_user, count(*) FROM pg_roles WHERE rolname = current_user"
"""Who asks, and 1 where that role exists at that moment."""


@asynccontextmanager
async def sql_over_http(database: Postgres) -> AsyncIterator[str]:
    """The URL of `tests.parts.sql_server` on a database."""
    argv = (sys.executable, "-m", "tests.parts.sql_server", "--psql", str(database.psql), "--host", database.folder)
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


def sql_over_stdio(database: Postgres) -> str:
    """The lines of an upstream that nobody here wrote: `mcp-postgres-server`, which has its role in its environment."""
    env = {
        "PG_HOST": database.folder,
        "PG_DATABASE": "postgres",
        "PG_USER": "${secret:db.username}",
        "PG_PASSWORD": "${secret:db.password}",
    }
    return f"{{command: {json.dumps(node().postgres())}, env: {json.dumps(env)}}}"


def with_headers(url: str) -> str:
    headers = {"x-db-user": "${secret:db.username}", "x-db-password": "${secret:db.password}"}
    return f"{{url: {json.dumps(url)}, headers: {json.dumps(headers)}}}"


def configured(folder: Path, at: Vaults, upstream: str, **secret: str) -> Path:
    """A shim for alice and bob in front of one upstream `sql`, whose secret `db` is a role."""
    auth = json.dumps({"approle": at.approle})
    asked = {"source": "bao", "path": "database/creds/reader", "ttl": "5m", "public": ["username"], **secret}
    path = write_config(
        folder,
        f"""version: 1
store: sqlite:shim.db
upstreams:
  sql: {upstream}
identities:
{identity("alice")}{identity("bob")}
grants:
  - {{name: all, to: ["*"], allow: ["sql/query"]}}
secret_sources:
  bao: {{type: vault, address: "{at.bao.address}", auth: {auth}}}
secrets:
  db: {json.dumps(asked)}
""",
    )
    path.chmod(0o600)
    return path


@dataclass
class Asked:
    """What a call of `query` came to."""

    answer: JsonObject

    @property
    def refused(self) -> str | None:
        """The reason code of a refusal."""
        meta = self.answer.get("result", {}).get("_meta") or {}
        said = meta.get("io.github.mcp-shim/decision")
        return said["reason"] if said else None

    @property
    def text(self) -> str:
        content = self.answer["result"]["content"]
        return str(content[0]["text"])

    @property
    def row(self) -> JsonObject:
        """The first row, as `mcp-postgres-server` gives them."""
        found: JsonObject = json.loads(self.text)["rows"][0]
        return found


async def ask(caller: HttpPeer, sql: str = WHO) -> Asked:
    return Asked(await caller.request("tools/call", {"name": "sql__query", "arguments": {"sql": sql}}))


async def once(shim: Running, who: str = "alice", sql: str = WHO) -> Asked:
    async with http(shim.url, "modern", token=token(who)) as caller:
        return await ask(caller, sql)


async def calls(shim: Running, *, callers: int, each: int) -> list[Asked]:
    """So many callers, alice and bob in turn, of so many calls one after another."""

    async def work(who: str) -> list[Asked]:
        async with http(shim.url, "modern", token=token(who)) as caller:
            return [await ask(caller) for _ in range(each)]

    done = await asyncio.gather(*(work(("alice", "bob")[index % 2]) for index in range(callers)))
    return [one for several in done for one in several]


def left(at: Vaults) -> tuple[list[str], list[str]]:
    """The roles that there are, and the leases that OpenBao has."""
    return at.postgres.roles(), at.bao.listed(CREDS) if at.bao.listed("sys/leases/lookup/database/creds") else []


async def until(at: Vaults, fits: Callable[[list[str], list[str]], bool], within: float) -> tuple[list[str], list[str]]:
    """The roles and leases once they are so, or when that time is over: neither server tells anybody here."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        found = await asyncio.to_thread(left, at)
        if fits(*found) or loop.time() > deadline:
            return found
        await asyncio.sleep(0.1)


async def nothing(at: Vaults, *, within: float) -> tuple[list[str], list[str]]:
    """The same, once there are none of either."""
    return await until(at, lambda roles, leases: not roles and not leases, within)


async def exported(config: Path, *more: str) -> list[JsonObject]:
    code, out, err = await run(config, "log", "export", "--format", "jsonl", *more)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def leases_of(rows: list[JsonObject]) -> Iterator[JsonObject]:
    for row in rows:
        yield from row["secrets"]
