"""A real OpenBao in front of a real PostgreSQL, set up as an operator would, and the shim's source for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from shim.model import JsonObject
from shim.secrets.source import Around, Issued, Purpose
from shim.secrets.vault import Keys, Vault, Where
from tests.parts.openbao import Bao, openbao
from tests.parts.postgres import Postgres, postgres

USE = """
path "database/creds/*" { capabilities = ["read", "update"] }
path "secret/data/*" { capabilities = ["read"] }
"""
REVOKE = 'path "sys/leases/revoke" { capabilities = ["update"] }\n'
CHILD = 'path "auth/token/create" { capabilities = ["update"] }\n'
_CREATE = """CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"""
BOTH = frozenset({"username", "password"})
ROLE = Keys(path="database/creds/reader")


@dataclass(frozen=True)
class Vaults:
    """`token` may use, revoke, and make children. `key` signs what the mount `jwt` believes."""

    bao: Bao
    postgres: Postgres
    token: str = field(repr=False)
    approle: dict[str, str] = field(repr=False)
    key: ECKey = field(repr=False)

    def jwt(self, subject: str = "alice") -> str:
        now = int(datetime.now(UTC).timestamp())
        claims = {"sub": subject, "aud": "vault", "iat": now, "exp": now + 3600}
        return jwt.encode({"alg": "ES256"}, claims, self.key)

    def knows(self, token: str) -> bool:
        """Whether a token is alive."""
        return self.bao.send("POST", "auth/token/lookup", {"token": token}).status_code == 200


@contextmanager
def vaults() -> Iterator[Vaults]:
    with openbao() as bao, postgres() as database:
        yield set_up(bao, database)


def set_up(bao: Bao, database: Postgres) -> Vaults:
    """A new server with all that tests ask it for."""
    bao.write("sys/mounts/database", type="database")
    bao.write(
        "database/config/pg",
        plugin_name="postgresql-database-plugin",
        allowed_roles="*",
        connection_url=database.uri,
    )
    bao.write("database/roles/reader", db_name="pg", creation_statements=[_CREATE], default_ttl="1h", max_ttl="2h")
    token = bao.token("all", USE + REVOKE + CHILD, ttl="24h")
    bao.write("sys/auth/approle", type="approle")
    bao.write("auth/approle/role/shim", token_policies=["all"], token_ttl="1h")
    role_id = bao.read("auth/approle/role/shim/role-id")["data"]["role_id"]
    secret_id = bao.write("auth/approle/role/shim/secret-id")["data"]["secret_id"]
    key = ECKey.generate_key("P-256")
    bao.write("sys/auth/jwt", type="jwt")
    bao.write("auth/jwt/config", jwt_validation_pubkeys=[key.as_pem(private=False).decode()])
    bao.write(
        "auth/jwt/role/shim",
        role_type="jwt",
        user_claim="sub",
        bound_audiences=["vault"],
        token_policies=["all"],
        token_ttl="30m",
    )
    return Vaults(bao, database, token, {"role_id": role_id, "secret_id": secret_id}, key)


@dataclass
class Clock:
    """The time, and what was added to it."""

    more: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.more


@asynccontextmanager
async def source(address: str, clock: Clock | None = None, **auth: Any) -> AsyncIterator[Vault]:
    """The shim's source, closed as when the process ends."""
    vault = made(address, clock, **auth)
    try:
        yield vault
    finally:
        await vault.close()


def made(address: str, clock: Clock | None = None, **auth: Any) -> Vault:
    """The same of a process that is never ended in order."""
    where = Where.model_validate({"address": address, "auth": auth})
    return Vault("bao", where, around(clock))


def around(clock: Clock | None = None) -> Around:
    return Around({}, clock or Clock(), os.urandom, lambda: "id")


@dataclass(frozen=True)
class Lent:
    prepared: JsonObject | None = field(repr=False)
    issued: Issued

    @property
    def user(self) -> str:
        return self.issued.values["username"]

    @property
    def revocation(self) -> JsonObject:
        assert self.issued.revocation is not None
        return self.issued.revocation


async def lent(vault: Vault, lease: str = "l1", keys: Keys = ROLE, **purpose: Any) -> Lent:
    """A lease of a database role, as the broker asks for one."""
    of = Purpose(lease, **purpose)
    prepared = await vault.prepare(keys, of)
    return Lent(prepared, await vault.issue(keys, BOTH, of))


@dataclass
class Cutter:
    """In front of a server: while `cuts`, what it answers to a request for a credential is lost on its way."""

    address: str
    cuts: bool = False


@asynccontextmanager
async def cutter(bao: Bao) -> AsyncIterator[Cutter]:
    host, port = bao.address.removeprefix("http://").split(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        try:
            # One read is one message: all of them are short.
            while asked := await reader.read(65536):
                far_writer.write(asked)
                answer = await far_reader.read(65536)
                if not answer or (cut.cuts and b"/v1/database/creds/" in asked):
                    break
                writer.write(answer)
                await writer.drain()
        finally:
            far_writer.close()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    cut = Cutter(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        yield cut
