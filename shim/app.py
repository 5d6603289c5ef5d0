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
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shim import __version__, jsontext
from shim.bounds.runs import Runs
from shim.catalog import Catalog
from shim.config.configuration import Configuration
from shim.errors import RecordUnavailable
from shim.gateway import Gateway
from shim.identity.authenticator import Authenticator
from shim.invocations import Invocations
from shim.model import Credential, Identity, JsonObject, Offer, Problem, Tool
from shim.policy.engine import Policy
from shim.record.checkpoints import key_path, load_key
from shim.record.keeper import Process, recording
from shim.record.recorder import Record
from shim.secrets.broker import Broker
from shim.server.closing import Closing
from shim.server.face import About, Face
from shim.server.http import HttpFace
from shim.server.listen import serve_http
from shim.server.stdio import claimed, serve_stdio
from shim.store.reader import Reader
from shim.store.sqlite import SqliteStore
from shim.upstream.supervisor import Upstreams

_log = logging.getLogger("shim.app")


@dataclass(frozen=True, slots=True)
class App:
    """The parts of one running process, wired."""

    configuration: Configuration
    store: SqliteStore
    record: Record
    policy: Policy
    catalog: Catalog
    upstreams: Upstreams
    authenticator: Authenticator
    gateway: Gateway


def new_id() -> str:
    """A fresh id that sorts by the time it was made: UUID version 7 (RFC 9562, section 5.7)."""
    milliseconds, noise = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big")
    high, low = milliseconds << 16 | 0x7000 | noise >> 68, noise & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def authenticator(configuration: Configuration) -> Authenticator:
    """Who knows the credentials of this configuration."""
    return Authenticator(configuration.identities, configuration.tokens)


def order(configuration: Configuration) -> Iterable[tuple[str, str]]:
    """Each upstream with the prefix of its tools' names, as configured."""
    for name, block in configuration.upstreams.items():
        yield name, block.prefix_of(name)


def _process() -> Process:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Process(host=socket.gethostname(), pid=os.getpid(), version=__version__, user=user)


def _signing_key(configuration: Configuration, store: Path) -> Ed25519PrivateKey:
    """The key that signs checkpoints, made for a new record. Raises RecordUnavailable.

    Not made again for a record that has checkpoints: whoever checked them with the old key could not any more.
    """
    file = Path(configuration.record.key) if configuration.record.key is not None else key_path(store)
    if not os.path.lexists(file):
        with Reader(store) as reader:
            if reader.count("checkpoints"):
                raise RecordUnavailable(
                    f"{file} is missing, the key that signed the checkpoints of {store}: put it back, or begin a new"
                    " record under another name"
                )
    return load_key(file)


def _remembered(path: Path) -> dict[str, Offer]:
    with Reader(path) as reader:
        return reader.offers()


_MANY = 200
"""More tools than this are read in a thread: digests of thousands would hold all calls up."""

_INSTRUCTIONS = 4000
"""Characters of an upstream's instructions that are passed on."""


class _Lint:
    """Says at its `file:line`, once, what the tools on offer show to be wrong with a condition; so does `check`."""

    def __init__(self, configuration: Configuration, policy: Policy) -> None:
        self._configuration = configuration
        self._policy = policy
        self._said: set[Problem] = set()

    def look(self, tools: Sequence[Tool]) -> None:
        for problem in self._configuration.problems(self._policy.lint(tools)):
            if problem not in self._said:
                self._said.add(problem)
                _log.log(logging.ERROR if problem.level == "error" else logging.WARNING, "%s", problem)


class _Readings:
    """Takes every reading of a catalog: into the catalog, into the store, and onto the record when it differs."""

    def __init__(self, catalog: Catalog, store: SqliteStore, record: Record, lint: _Lint) -> None:
        self._catalog = catalog
        self._store = store
        self._record = record
        self._lint = lint
        self._last: dict[str, str] = {}

    async def take(self, offer: Offer) -> None:
        if len(offer.tools) > _MANY:
            reading = await asyncio.to_thread(self._catalog.read, offer)
        else:
            reading = self._catalog.read(offer)
        self._catalog.take(reading)
        digest = jsontext.digest([[tool.name, tool.digest] for tool in reading.tools])
        if self._last.get(offer.upstream) == digest:
            return
        self._lint.look(self._catalog.now.tools)
        body: JsonObject = {
            "upstream": offer.upstream,
            "era": offer.era,
            "protocol": offer.protocol,
            "tools": len(reading.tools),
            "digest": digest,
        }
        try:
            await self._store.keep_offer(offer)
            await self._record.event("server.catalog", body)
        except RecordUnavailable as error:
            _log.error("the catalog of %s could not be kept: %s", offer.upstream, error)
        else:
            self._last[offer.upstream] = digest


@asynccontextmanager
async def open_app(configuration: Configuration) -> AsyncIterator[App]:
    """Everything that a process needs to list and call tools, until the block ends.

    Upstreams are still connecting when it is entered. Raises RecordUnavailable when the record cannot begin: the store
    cannot be opened, or the key that signs checkpoints cannot be used.
    """
    path = Path(configuration.store.path)
    async with SqliteStore.open(path, secrets.token_hex(8)) as store:
        key = _signing_key(configuration, path)
        async with recording(store, configuration.record, _process(), key, random=os.urandom) as record:
            await record.loaded(configuration.digest, configuration.texts, user=_process().user)
            catalog = Catalog(order(configuration), _remembered(path))
            policy = Policy(configuration.grants)
            readings = _Readings(catalog, store, record, _Lint(configuration, policy))
            broker = Broker(configuration.secrets, environment=os.environ, random=os.urandom, new_id=new_id)
            async with Upstreams(
                configuration.upstreams,
                secrets=broker,
                on_offer=readings.take,
                on_event=record.event,
                environment=os.environ,
                folder=configuration.folder,
                version=__version__,
            ) as upstreams:
                invocations = Invocations(record, Runs(new_id), policy_digest=configuration.digest, new_id=new_id)
                gateway = Gateway(
                    catalog=catalog, policy=policy, invocations=invocations, upstreams=upstreams, secrets=broker
                )
                who = authenticator(configuration)
                yield App(configuration, store, record, policy, catalog, upstreams, who, gateway)


def _face(app: App) -> Face:
    def about(identity: Identity) -> About:
        # Instructions are shown of upstreams of which this identity may see something, and of no others.
        seen = {tool.upstream for tool in app.gateway.view(identity).tools}
        offers = app.catalog.now.offers
        # Indented, so that none can pass off a section as another's.
        told = [
            f"{name}:\n{indent(offer.instructions[:_INSTRUCTIONS], '    ', lambda _: True)}"
            for name, offer in offers.items()
            if name in seen and offer.instructions
        ]
        return About("\n\n".join(told) or None)

    return Face(app.gateway, about, "mcp-shim", __version__, Closing())


async def _ready(app: App) -> tuple[bool, dict[str, str]]:
    """Whether this process can do its work: the store commits, and every required upstream is up."""
    states = {name: status.state for name, status in app.upstreams.status().items()}
    missing = [name for name, block in app.configuration.upstreams.items() if block.required and states[name] != "up"]
    trouble = await app.store.trouble()
    return not missing and trouble is None, {name: str(state) for name, state in states.items()}


async def serve(
    configuration: Configuration, *, stop: asyncio.Event, on_listening: Callable[[str], None] | None = None
) -> None:
    """The HTTP server, until `stop` is set: then running calls may end. `on_listening` gets the URL once it is ready.

    Raises RecordUnavailable when the record cannot begin, and OSError where the address cannot be listened on.
    """
    async with open_app(configuration) as app:
        face = HttpFace(
            _face(app),
            configuration.server,
            authenticator=app.authenticator,
            auth_refused=app.record.auth_refused,
            ready=lambda: _ready(app),
        )
        block = configuration.server
        # What was imported and wired stays for good, and calls leave few cycles behind: the collector need not walk
        # everything again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        await serve_http(face, listen=block.listen, stop=stop, tls=block.tls, on_listening=on_listening)


async def stdio(configuration: Configuration, credential: Credential, *, stop: asyncio.Event) -> None:
    """One client over standard input and output, until its input ends or `stop` is set.

    Raises RecordUnavailable when the record cannot begin.
    """
    with claimed() as (reading, writing):
        async with open_app(configuration) as app:
            await serve_stdio(
                _face(app),
                credential,
                confirm=app.authenticator.confirm,
                session=app.store.instance,
                reading=reading,
                writing=writing,
                max_request=configuration.server.max_request,
                stop=stop,
            )
