"""The composition root: what lives as long as the process, around the parts that `wiring.py` makes of a configuration.

These two alone know every part.
"""

from __future__ import annotations

import asyncio
import gc
import getpass
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shim import __version__
from shim.config.configuration import Configuration
from shim.config.watching import Watch
from shim.console.give import GivePages
from shim.console.sessions import Sessions
from shim.generation import Current, Prove
from shim.identity.claims import Terms
from shim.identity.fetching import Fetcher
from shim.record.keeper import Process, recording
from shim.record.known import harmless
from shim.record.signing import signing_key
from shim.reloading import Reloading
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
from shim.store.sqlite import SqliteStore
from shim.upstream.supervisor import Upstreams
from shim.wiring import App, Wiring, new_id

if TYPE_CHECKING:
    from shim.identity.jwt import Verifier

_AGAIN = 5.0

_log = logging.getLogger("shim.app")


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
) -> AsyncIterator[tuple[App, Wiring]]:
    path = Path(configuration.store.path)
    async with SqliteStore.open(path, secrets.token_hex(8)) as store:
        key = signing_key(configuration.record, path)
        async with recording(store, configuration.record, _process(), key, random=os.urandom) as record:
            await record.loaded(configuration.digest, configuration.texts, user=_process().user)
            issuer, tickets = _issuer(store, key, configuration.url)
            sessions = Sessions(key.private_bytes_raw(), os.urandom, time.time)
            wiring = Wiring(store, record, issuer, tickets, sessions, verifier)
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
) -> AsyncIterator[tuple[Current, Wiring]]:
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
