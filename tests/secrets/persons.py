"""Brokers whose secrets people give, each as a process of its own would have it, over one store."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from shim import jsontext
from shim.config.loader import load
from shim.errors import SecretWanted
from shim.lending import Need
from shim.model import JsonObject
from shim.record.checkpoints import key_path, load_key
from shim.secrets.broker import Broker
from shim.secrets.config import SecretBlock, SourceBlock
from shim.secrets.given import Given
from shim.secrets.giving import Giver
from shim.secrets.issuing import Issuer
from shim.secrets.ledger import Ledger, Sealing
from shim.secrets.source import Around
from shim.secrets.tickets import Tickets
from shim.store.reader import Reader
from shim.store.sqlite import SqliteStore
from tests.secrets.issuer import CLIENT, PASSWORD, Server
from tests.secrets.lending import calling

BASE = "https://shim.test"
BACK = f"{BASE}/given"


@dataclass
class Clock:
    """The time, which can be moved on."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Process:
    """One process over the store in `folder`."""

    folder: Path
    broker: Broker
    issuer: Issuer
    giver: Giver
    clock: Clock
    given: Given

    async def ticket(self, secret: str, identity: str = "alice") -> str:
        """The ticket of the page to which a call leads that has no such secret."""
        with pytest.raises(SecretWanted) as caught:
            await self.lease(secret, identity)
        url = caught.value.url
        assert url.startswith(f"{BASE}/give/")
        assert url in str(caught.value)
        assert url not in caught.value.detail
        return url.removeprefix(f"{BASE}/give/")

    async def lease(self, secret: str, identity: str = "alice", *, doubted: bool = False) -> str:
        """The value that one call is handed; `doubted`: whoever gets it does not accept it."""
        caller, call = calling(identity)
        async with self.broker.leased([Need("key", secret)], caller, call) as leases:
            value = (await leases.take()).values["key"]
            if doubted:
                await leases.doubt()
        return value

    async def consent(self, secret: str, identity: str = "alice") -> JsonObject:
        """Go where a ticket leads, and come back with what the server said."""
        url = await self.giver.consent(await self.ticket(secret, identity), identity, BACK)
        async with httpx2.AsyncClient(trust_env=False) as client:
            came = await client.get(url)
        assert came.status_code == 302, came.text
        where = came.headers["location"]
        assert where.startswith(f"{BACK}?")
        return dict(parse_qsl(urlsplit(where).query))

    async def agree(self, secret: str, identity: str = "alice") -> None:
        """The whole way of a person that allows it."""
        said = await self.consent(secret, identity)
        want = await self.giver.agreed(said["state"], identity, BACK, said["code"], None, said["iss"])
        assert (want.identity, want.secret, want.is_consent) == (identity, secret, True)

    async def swap(self, sealed: bytes, identity: str, secret: str = "typed") -> None:
        """Put what was sealed for one person in the place of what another gave."""
        row = await self.given.of(identity, "people", secret)
        assert row is not None
        await self.given.keep(replace(row, sealed=sealed))

    def events(self) -> list[tuple[str, JsonObject]]:
        """The events about what people gave, in order."""
        with Reader(self.folder / "shim.db") as reader:
            read = [jsontext.parse_object(event.text) for event in reader.events()]
        return [(one["kind"], one["body"]) for one in read if one["kind"].startswith("secret.")]


def stored(folder: Path) -> bytes:
    """Everything in the store's files."""
    return b"".join(path.read_bytes() for path in folder.glob("shim.db*"))


def sources(folder: Path, server: Server | None = None) -> Mapping[str, JsonObject]:
    key = f"file:{folder}/people.key"
    found: dict[str, JsonObject] = {"people": {"type": "user", "key": key}}
    if server is not None:
        found["idp"] = {
            "type": "oauth",
            "token_url": f"{server.url}/token",
            "authorization_url": f"{server.url}/authorize?prompt=consent",
            "revocation_url": f"{server.url}/revoke",
            "client_id": CLIENT,
            "client_secret": PASSWORD,
            "key": key,
        }
    return found


TYPED: JsonObject = {"source": "people", "prompt": "A token of the tracker", "url": "https://tracker.test/tokens"}
ALLOWED: JsonObject = {
    "source": "idp",
    "grant": "authorization_code",
    "scopes": ["read", "write"],
    "resource": "https://tickets.test/mcp",
}


@asynccontextmanager
async def process(
    folder: Path, server: Server | None = None, name: str = "one", more: Mapping[str, object] | None = None
) -> AsyncIterator[Process]:
    """A process of that name, with the secrets `typed` and, where there is a server, `allowed`.

    `more` are sources beside the usual ones, or in their place.
    """
    clock, ids = Clock(), itertools.count(1)
    async with SqliteStore.open(folder / "shim.db", name) as store:
        given = Given(store, clock)
        around = Around({}, clock, os.urandom, lambda: f"{name}-{next(ids)}", given)
        tickets = Tickets(b"k" * 32, os.urandom, clock)
        tickets.at(f"{BASE}/mcp")
        issuer = Issuer(around, ledger=Ledger(store, Sealing(b"k" * 32, os.urandom), clock), tickets=tickets)
        blocks = {"typed": TYPED} | ({"allowed": ALLOWED} if server is not None else {})
        declared = {**sources(folder, server), **(more or {})}
        broker = Broker(
            issuer,
            {name: SecretBlock.model_validate(block) for name, block in blocks.items()},
            {name: SourceBlock.model_validate(block) for name, block in declared.items()},
        )
        giver = broker.giver()
        assert giver is not None
        async with issuer.running():
            yield Process(folder, broker, issuer, giver, clock, given)


@asynccontextmanager
async def giving(config: Path) -> AsyncIterator[Giver]:
    """Who takes what people give, as a process of its own over the store of a configuration has them."""
    found = load(config, {})
    path = Path(found.store.path)
    async with SqliteStore.open(path, os.urandom(8).hex()) as store:
        clock = Clock()
        around = Around({}, clock, os.urandom, lambda: "id", Given(store, clock))
        tickets = Tickets(load_key(key_path(path)).private_bytes_raw(), os.urandom, clock)
        giver = Broker(Issuer(around, tickets=tickets), found.secrets, found.sources).giver()
        assert giver is not None
        yield giver
