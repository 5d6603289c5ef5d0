"""The parts of one configuration, each handed what it needs, around those that `app.py` keeps for the process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

from shim.bounds.runs import Runs
from shim.catalog import Catalog
from shim.config.configuration import Configuration
from shim.console.sessions import Sessions
from shim.curating import Curation, ToolBlock
from shim.gateway import Gateway
from shim.generation import Generation
from shim.identity.authenticator import Authenticator
from shim.invocations import Invocations
from shim.model import Identity, Offer
from shim.policy.engine import Policy
from shim.readings import Lint, Readings
from shim.record.recorder import Record
from shim.secrets.broker import Broker
from shim.secrets.issuing import Issuer
from shim.secrets.tickets import Tickets
from shim.store.reader import Reader
from shim.store.sqlite import SqliteStore
from shim.tasks import Tasks
from shim.upstream.supervisor import Upstreams

if TYPE_CHECKING:
    from shim.identity.jwt import Verifier


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


def order(configuration: Configuration) -> Iterable[tuple[str, str]]:
    """Each upstream with the prefix of its tools' names, as configured."""
    for name, block in configuration.upstreams.items():
        yield name, block.prefix_of(name)


def _as_written(blocks: Mapping[str, ToolBlock]) -> list[tuple[str, str]]:
    """What tells patterns on tools from others: also by their order, and 1 from true."""
    return [(pattern, block.model_dump_json()) for pattern, block in blocks.items()]


def _remembered(path: Path) -> dict[str, Offer]:
    with Reader(path) as reader:
        return reader.offers()


_INSTRUCTIONS = 4000
"""Characters of an upstream's instructions that are passed on."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a configuration takes time to build, and changes nothing yet."""

    configuration: Configuration
    policy: Policy
    lint: Lint
    catalog: Catalog
    broker: Broker


class Wiring:
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

    async def parts(self, configuration: Configuration, before: App | None = None) -> Parts:
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
                return Parts(configuration, policy, lint, before.catalog, broker)
            remembered = {**await asyncio.to_thread(_remembered, self.store.path), **before.catalog.now.offers}
        catalog = await asyncio.to_thread(Catalog, names, remembered, Curation(configuration.tools))
        return Parts(configuration, policy, lint, catalog, broker)

    def app(self, parts: Parts, upstreams: Upstreams) -> App:
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

    def replaced(self, app: App, parts: Parts) -> App:
        """The app of another configuration in the place of this one: at once, and without a fault."""
        for name, offer in app.catalog.now.offers.items():
            # What came while the parts were built.
            if parts.catalog.has(name) and parts.catalog.now.offers.get(name) is not offer:
                parts.catalog.learn(offer)
        parts.broker.put_in_force()
        return self.app(parts, app.upstreams.replace(parts.configuration.upstreams, parts.broker))
