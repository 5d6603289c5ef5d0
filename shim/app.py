"""The composition root: the only module that knows every part, and hands each what it needs."""

from __future__ import annotations

import asyncio
import gc
import getpass
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shim import __version__
from shim.bounds.runs import Runs
from shim.catalog import Catalog
from shim.config.configuration import Configuration
from shim.config.watching import Watch
from shim.console.give import GivePages
from shim.console.sessions import Sessions
from shim.curating import Curation, ToolBlock
from shim.gateway import Gateway
from shim.generation import Current, Generation, Prove
from shim.identity.authenticator import Authenticator
from shim.identity.claims import Terms
from shim.identity.fetching import Fetcher
from shim.invocations import Invocations
from shim.model import Identity, Offer
from shim.policy.engine import Policy
from shim.readings import Lint, Readings
from shim.record.keeper import Process, recording
from shim.record.known import harmless
from shim.record.recorder import Record
from shim.record.signing import signing_key
from shim.reloading import Reloading
from shim.secrets.broker import Broker
from shim.secrets.given import Given
from shim.secrets.issuing import Issuer
from shim.secrets.ledger import Ledger, Sealing
from shim.secrets.source import Around
from shim.secrets.tickets import Tickets
from shim.server.closing import Closing
from shim.server.config import JwtBlock
from shim.server.face import Face
from shim.server.http import HttpFace
from shim.server.listen import serve_http
from shim.server.stdio import claimed, serve_stdio
from shim.store.reader import Reader
from shim.store.sqlite import SqliteStore
from shim.tasks import Tasks
from shim.upstream.supervisor import Upstreams

if TYPE_CHECKING:
    from shim.identity.jwt import Verifier

_log = logging.getLogger("shim.app")


@dataclass(frozen=True, slots=True)
class App:
    """The parts of one running process, wired for one configuration. Store and record outlive it."""

    configuration: Configuration
    store: SqliteStore
    record: Record
    policy: Policy
    catalog: Catalog
    upstreams: Upstreams
    broker: Broker
    authenticator: Authenticator
    gateway: Gateway

    def instructions(self, identity: Identity) -> str | None:
        """What upstreams say of themselves, of which this identity may see something; of no others."""
        seen = {one.upstream for one in self.gateway.view(identity).offered}
        # Indented, so that none can pass off a section as another's.
        told = [
            f"{name}:\n{indent(offer.instructions[:_INSTRUCTIONS], '    ', lambda _: True)}"
            for name, offer in self.catalog.now.offers.items()
            if name in seen and offer.instructions
        ]
        return "\n\n".join(told) or None

    async def ready(self) -> tuple[bool, dict[str, str]]:
        """Whether this process can do its work: the store commits, and every required upstream is up."""
        states = {name: str(status.state) for name, status in self.upstreams.status().items()}
        required = [name for name, block in self.configuration.upstreams.items() if block.required]
        trouble = await self.store.trouble()
        return trouble is None and all(states[name] == "up" for name in required), states

    @property
    def generation(self) -> Generation:
        """What the faces answer by."""
        scopes = self.policy.basic_scopes
        return Generation(self.gateway, self.authenticator, self.instructions, self.ready, scopes, self.broker.giver())


def new_id() -> str:
    """A fresh id that sorts by the time it was made: UUID version 7 (RFC 9562, section 5.7)."""
    milliseconds, noise = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big")
    high, low = milliseconds << 16 | 0x7000 | noise >> 68, noise & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def authenticator(configuration: Configuration, verifier: Verifier | None = None) -> Authenticator:
    """Who knows the credentials of this configuration; JWTs only with a verifier."""
    return Authenticator(configuration.identities, configuration.tokens, verifier=verifier)


def _verifier(block: JwtBlock | None) -> Verifier | None:
    """Who judges JWTs, for as long as the process lives: `server` does not change meanwhile."""
    if block is None:
        return None
    # Dear to import, and needed here alone.
    from shim.identity.issuer import Issuer
    from shim.identity.jwt import Verifier
    from shim.identity.ring import KeyRing

    ring = KeyRing(Issuer(block.issuer, block.jwks_url, Fetcher()).keys)
    return Verifier(Terms(block.issuer, block.audience), block.algorithms, ring)


def order(configuration: Configuration) -> Iterable[tuple[str, str]]:
    """Each upstream with the prefix of its tools' names, as configured."""
    for name, block in configuration.upstreams.items():
        yield name, block.prefix_of(name)


def _as_written(blocks: Mapping[str, ToolBlock]) -> list[tuple[str, str]]:
    """What tells patterns on tools from others: also by their order, and 1 from true."""
    return [(pattern, block.model_dump_json()) for pattern, block in blocks.items()]


def _process() -> Process:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Process(host=socket.gethostname(), pid=os.getpid(), version=__version__, user=user)


def _issuer(store: SqliteStore, key: Ed25519PrivateKey, endpoint: str) -> tuple[Issuer, Tickets]:
    """Who has the leases of this process; what revokes them is sealed by what all processes of the record have.

    And who leads people to the page where they give theirs, beside the endpoint of the server.
    """

    def clock() -> datetime:
        return datetime.now(UTC)

    around = Around(os.environ, clock, os.urandom, new_id, Given(store, clock))
    sealing = Sealing(key.private_bytes_raw(), os.urandom)
    tickets = Tickets(key.private_bytes_raw(), os.urandom, clock)
    tickets.at(endpoint)
    return Issuer(around, ledger=Ledger(store, sealing, clock), tickets=tickets), tickets


def _remembered(path: Path) -> dict[str, Offer]:
    with Reader(path) as reader:
        return reader.offers()


_INSTRUCTIONS = 4000
"""Characters of an upstream's instructions that are passed on."""

_AGAIN = 5.0


@dataclass(frozen=True, slots=True)
class _Parts:
    """What of a configuration takes time to build, and changes nothing yet."""

    configuration: Configuration
    policy: Policy
    lint: Lint
    catalog: Catalog
    broker: Broker


class _Wiring:
    """Builds the parts of each configuration around those that stay: store, record, runs and readings."""

    def __init__(
        self,
        store: SqliteStore,
        record: Record,
        issuer: Issuer,
        tickets: Tickets,
        sessions: Sessions,
        verifier: Verifier | None,
    ) -> None:
        self.store = store
        self.sessions = sessions
        self.tickets = tickets
        self._verifier = verifier
        self.record = record
        self._issuer = issuer
        self.readings = Readings(store, record)
        self._runs = Runs(new_id)
        self._tasks = Tasks(store)

    async def parts(self, configuration: Configuration, before: App | None = None) -> _Parts:
        """The parts of a configuration. Those of the app `before` go on where they would be the same.

        A catalog begins with what was offered last.
        """
        policy = await asyncio.to_thread(Policy, configuration.grants)
        lint = Lint(configuration, policy)
        names = list(order(configuration))
        if before is None:
            broker = Broker(self._issuer, configuration.secrets, configuration.sources)
            remembered = await asyncio.to_thread(_remembered, self.store.path)
        else:
            old = before.configuration
            same = (configuration.secrets, configuration.sources) == (old.secrets, old.sources)
            broker = before.broker if same else before.broker.of(configuration.secrets, configuration.sources)
            if names == list(order(old)) and _as_written(configuration.tools) == _as_written(old.tools):
                return _Parts(configuration, policy, lint, before.catalog, broker)
            remembered = {**await asyncio.to_thread(_remembered, self.store.path), **before.catalog.now.offers}
        catalog = await asyncio.to_thread(Catalog, names, remembered, Curation(configuration.tools))
        return _Parts(configuration, policy, lint, catalog, broker)

    def app(self, parts: _Parts, upstreams: Upstreams) -> App:
        """Wire the parts of one configuration; from now on readings reach its catalog."""
        configuration, catalog = parts.configuration, parts.catalog
        self.readings.into(catalog, parts.lint)
        invocations = Invocations(self.record, self._runs, policy_digest=configuration.digest, new_id=new_id)
        gateway = Gateway(
            catalog=catalog,
            policy=parts.policy,
            invocations=invocations,
            upstreams=upstreams,
            secrets=parts.broker,
            tasks=self._tasks,
        )
        who = authenticator(configuration, self._verifier)
        return App(configuration, self.store, self.record, parts.policy, catalog, upstreams, parts.broker, who, gateway)

    def replaced(self, app: App, parts: _Parts) -> App:
        """The app of another configuration in the place of this one: at once, and without a fault."""
        for name, offer in app.catalog.now.offers.items():
            # What came while the parts were built.
            if parts.catalog.has(name) and parts.catalog.now.offers.get(name) is not offer:
                parts.catalog.learn(offer)
        parts.broker.put_in_force()
        return self.app(parts, app.upstreams.replace(parts.configuration.upstreams, parts.broker))


@asynccontextmanager
async def open_app(configuration: Configuration, *, only: Container[str] | None = None) -> AsyncIterator[App]:
    """Everything that a process needs to list and call tools, until the block ends.

    With `only`, no other upstreams are reached; of those the catalog has what they offered last.
    Upstreams are still connecting when it is entered. Raises RecordUnavailable when the record cannot begin: the store
    cannot be opened, or the key that signs checkpoints cannot be used.
    """
    async with _opened(configuration, only) as (app, _):
        yield app


@asynccontextmanager
async def _opened(
    configuration: Configuration, only: Container[str] | None = None, verifier: Verifier | None = None
) -> AsyncIterator[tuple[App, _Wiring]]:
    path = Path(configuration.store.path)
    async with SqliteStore.open(path, secrets.token_hex(8)) as store:
        key = signing_key(configuration.record, path)
        async with recording(store, configuration.record, _process(), key, random=os.urandom) as record:
            await record.loaded(configuration.digest, configuration.texts, user=_process().user)
            issuer, tickets = _issuer(store, key, configuration.url)
            sessions = Sessions(key.private_bytes_raw(), os.urandom, time.time)
            wiring = _Wiring(store, record, issuer, tickets, sessions, verifier)
            parts = await wiring.parts(configuration)
            async with (
                issuer.running(),
                Upstreams(
                    {name: block for name, block in configuration.upstreams.items() if only is None or name in only},
                    secrets=parts.broker,
                    on_offer=wiring.readings.take,
                    on_event=record.event,
                    environment=os.environ,
                    folder=configuration.folder,
                    known=harmless,
                    version=__version__,
                ) as upstreams,
            ):
                issuer.forget = upstreams.forget
                yield wiring.app(parts, upstreams), wiring


@asynccontextmanager
async def _live(
    configuration: Configuration,
    *,
    asked: asyncio.Event,
    listen: str | None = None,
    verifier: Verifier | None = None,
) -> AsyncIterator[tuple[Current, _Wiring]]:
    """As `open_app`, with what is in force from one moment to the next: the configuration is followed meanwhile."""
    async with _opened(configuration, verifier=verifier) as (latest, wiring):
        current = Current(latest.generation)

        async def prepare(new: Configuration) -> Callable[[], None]:
            parts = await wiring.parts(new, latest)

            def put_in_force() -> None:
                nonlocal latest
                latest = wiring.replaced(latest, parts)
                current.replace(latest.generation)
                parts.lint.look(parts.catalog)

            return put_in_force

        process, user = wiring.store.instance, _process().user
        reloading = Reloading(configuration, wiring.record, prepare, listen=listen, process=process, user=user)
        watch = Watch(configuration.path, os.environ, take=reloading.take, refuse=reloading.refuse, asked=asked)
        # A task of this block, awaited before it ends; a task group would wrap what the block raises.
        task = asyncio.create_task(_follow(watch), name="configuration")
        try:
            yield current, wiring
        finally:
            task.cancel()
            await asyncio.wait([task])


async def _follow(watch: Watch) -> None:
    while True:
        try:
            await watch.run()
        except Exception:  # noqa: BLE001 (the boundary of a background task)
            _log.exception("the configuration could not be followed; trying again")
            await asyncio.sleep(_AGAIN)


async def serve(
    configuration: Configuration,
    *,
    stop: asyncio.Event,
    asked: asyncio.Event,
    listen: str | None = None,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """The HTTP server, until `stop` is set: then running calls may end. `on_listening` gets the URL once it is ready.

    `listen` (HOST:PORT) is listened on instead of what is configured; `asked`, when set, has the configuration read.
    Raises RecordUnavailable when the record cannot begin, OSError where the address cannot be listened on, and
    ConfigurationError where it may not.
    """
    block = (configuration if listen is None else configuration.listening_on(listen)).server
    verifier = _verifier(block.jwt)
    async with _live(configuration, asked=asked, listen=listen, verifier=verifier) as (current, wiring):
        face = Face(current, "mcp-shim", __version__, Closing())
        refused = wiring.record.auth_refused
        pages = GivePages(current, block, wiring.sessions, auth_refused=refused, clock=time.monotonic)
        http = HttpFace(face, block, auth_refused=refused, pages=pages)
        # What was imported and wired stays for good, and calls leave few cycles behind: the collector need not walk
        # everything again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)

        def listening(url: str) -> None:
            if block.url is None:
                # The port may be one that nobody knew before.
                wiring.tickets.at(url)
            if on_listening is not None:
                on_listening(url)

        await serve_http(http, listen=block.listen, stop=stop, tls=block.tls, on_listening=listening)


async def stdio(configuration: Configuration, prove: Prove, *, stop: asyncio.Event) -> None:
    """One client over standard input and output, until its input ends or `stop` is set.

    `prove` shows the client's credential. Raises RecordUnavailable when the record cannot begin.
    """
    with claimed() as (reading, writing):
        async with _live(configuration, asked=asyncio.Event()) as (current, wiring):
            await serve_stdio(
                Face(current, "mcp-shim", __version__, Closing()),
                prove,
                session=wiring.store.instance,
                reading=reading,
                writing=writing,
                max_request=configuration.server.max_request,
                stop=stop,
            )
