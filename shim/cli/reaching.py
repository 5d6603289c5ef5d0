"""Reaching upstreams once, for verbs that want to know what is there and change nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio

from shim import __version__
from shim.cli.running import run
from shim.model import JsonObject, Offer, UpstreamStatus

if TYPE_CHECKING:
    from shim.config.configuration import Configuration
    from shim.secrets.broker import Broker
    from shim.upstream.config import UpstreamBlock


@dataclass(frozen=True, slots=True)
class Reached:
    """How each upstream answered, and of those that did their catalogs and after how many seconds these were read."""

    status: Mapping[str, UpstreamStatus]
    offers: Mapping[str, Offer]
    seconds: Mapping[str, float]


def reach(configuration: Configuration, wait: float = 10.0, *, only: Container[str] | None = None) -> Reached:
    """Connect to all upstreams, or to `only` these, at once and read their catalogs, within `wait` seconds.

    Nothing is recorded or kept.
    """
    blocks = {name: block for name, block in configuration.upstreams.items() if only is None or name in only}
    return run(_reach(configuration, blocks, wait))


def broker(configuration: Configuration) -> Broker:
    """Who asks for the secrets of this configuration, for verbs that record nothing."""
    from shim.secrets.broker import Broker
    from shim.secrets.issuing import Issuer
    from shim.secrets.source import Around

    around = Around(os.environ, lambda: datetime.now(UTC), os.urandom, lambda: f"unrecorded-{os.urandom(8).hex()}")
    return Broker(Issuer(around), configuration.secrets, configuration.sources)


async def _reach(configuration: Configuration, blocks: Mapping[str, UpstreamBlock], wait: float) -> Reached:
    from shim.record.known import harmless
    from shim.upstream.condition import FIRST
    from shim.upstream.supervisor import Upstreams

    offers: dict[str, Offer] = {}
    seconds: dict[str, float] = {}
    began = time.monotonic()

    async def on_offer(offer: Offer) -> None:
        offers[offer.upstream] = offer
        seconds.setdefault(offer.upstream, time.monotonic() - began)

    async def on_event(_kind: str, _body: JsonObject, _invocation: str | None) -> None:
        pass

    asked = broker(configuration)
    upstreams = Upstreams(
        blocks,
        secrets=asked,
        on_offer=on_offer,
        on_event=on_event,
        environment=os.environ,
        folder=configuration.folder,
        known=harmless,
        version=__version__,
    )
    async with aclosing(asked), upstreams:
        with anyio.move_on_after(wait):
            # A server that is downloaded first takes several turns; one that ends early has nobody left to wait for.
            turn = FIRST
            while turn >= FIRST:
                before = time.monotonic()
                await upstreams.settled()
                turn = time.monotonic() - before
        return Reached(dict(upstreams.status()), offers, seconds)
