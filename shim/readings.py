"""What is done with each reading of an upstream's catalog."""

from __future__ import annotations

import asyncio
import logging
from weakref import WeakSet

from shim.catalog import Catalog
from shim.config.configuration import Configuration
from shim.errors import RecordUnavailable
from shim.model import JsonObject, Offer, Problem
from shim.offered import Reading
from shim.policy.engine import Policy
from shim.record.recorder import Record
from shim.store.sqlite import SqliteStore

_log = logging.getLogger("shim.app")

_MANY = 200
"""More definitions than this are read in a thread: digests of thousands would hold all calls up."""


class Lint:
    """Says at its `file:line`, once, what is on offer shows to be wrong with a condition; so does `check`."""

    def __init__(self, configuration: Configuration, policy: Policy) -> None:
        self._configuration = configuration
        self._policy = policy
        self._said: set[Problem] = set()

    def look(self, catalog: Catalog) -> None:
        """Hold the conditions, and what is said of tools, against all that is offered."""
        offered = catalog.now.offered
        of_grants = self._configuration.problems(self._policy.lint(offered))
        of_tools = catalog.curation.lint(offered, left_out=[out.ref for out in catalog.now.left_out])
        for problem in (*of_grants, *self._configuration.curated(of_tools)):
            if problem not in self._said:
                self._said.add(problem)
                _log.log(logging.ERROR if problem.level == "error" else logging.WARNING, "%s", problem)


class Readings:
    """Takes every reading: into the catalogs, into the store, and onto the record when it differs."""

    def __init__(self, store: SqliteStore, record: Record) -> None:
        self._store = store
        self._record = record
        self._catalogs: WeakSet[Catalog] = WeakSet()
        self._latest: tuple[Catalog, Lint] | None = None
        self._last: dict[str, str] = {}

    def into(self, catalog: Catalog, lint: Lint) -> None:
        """From now on also into this catalog, whose contents are held against this lint.

        Those before hear of readings too, as long as a request that began with them holds them: it may wait for one.
        """
        self._catalogs.add(catalog)
        self._latest = catalog, lint

    async def take(self, offer: Offer) -> None:
        """Take one reading of an upstream."""
        reading = None
        for catalog in list(self._catalogs):
            if catalog.has(offer.upstream):
                reading = await _read(catalog, offer)
                catalog.take(reading)
        if reading is None:
            return
        digest = reading.digest
        if self._last.get(offer.upstream) == digest:
            return
        if self._latest is not None:
            catalog, lint = self._latest
            lint.look(catalog)
        body: JsonObject = {
            "upstream": offer.upstream,
            "era": offer.era,
            "protocol": offer.protocol,
            "tools": len(reading.tools),
            "prompts": len(reading.prompts),
            "resources": len(reading.resources),
            "templates": len(reading.templates),
            "digest": digest,
        }
        try:
            await self._store.keep_offer(offer)
            await self._record.event("server.catalog", body)
        except RecordUnavailable as error:
            _log.error("the catalog of %s could not be kept: %s", offer.upstream, error)
        else:
            self._last[offer.upstream] = digest


async def _read(catalog: Catalog, offer: Offer) -> Reading:
    if sum(map(len, (offer.tools, offer.prompts, offer.resources, offer.templates))) > _MANY:
        return await asyncio.to_thread(catalog.read, offer)
    return catalog.read(offer)
