"""What there is to say of the secrets of a configuration, without a word of what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shim import templates
from shim.cli.reaching import broker
from shim.errors import SecretUnavailable
from shim.model import Need, Problem

if TYPE_CHECKING:
    from shim.config.configuration import Configuration
    from shim.secrets.broker import Broker
    from shim.upstream.handing import Handing


def unavailable(configuration: Configuration) -> Mapping[str, str]:
    """Each secret that cannot be had, or cannot stand where it goes, with the reason; every source is asked."""
    from shim.cli.running import run

    return run(_unavailable(configuration)) if configuration.secrets else {}


def problems(configuration: Configuration, missing: Mapping[str, str]) -> Iterator[Problem]:
    """One a secret: an error for those that are `missing`, and of the others in use that they are long-lived."""
    users: dict[str, list[str]] = {}
    for upstream, handings in _handings(configuration).items():
        for name in {need.secret for handing in handings for need in handing.needs}:
            users.setdefault(name, []).append(upstream)
    for name, place in configuration.secret_places.items():
        if name in missing:
            yield Problem(place.file, place.line, "error", f"the secret {name} is not available: {missing[name]}")
        elif name in users:
            message = f"{name} is long-lived: it holds until somebody changes it (handed to {', '.join(users[name])})"
            yield Problem(place.file, place.line, "warning", message)


def _handings(configuration: Configuration) -> Mapping[str, tuple[Handing, Handing]]:
    """What each upstream is handed in calls, and when its catalog is read."""
    from shim.upstream.handing import Handing

    return {name: (Handing(block), Handing(block, block.catalog)) for name, block in configuration.upstreams.items()}


async def _unavailable(configuration: Configuration) -> Mapping[str, str]:
    asked = broker(configuration)
    handings = [handing for both in _handings(configuration).values() for handing in both]
    needs: dict[str, list[Need]] = {name: [] for name in configuration.secrets}
    for need in dict.fromkeys(need for handing in handings for need in handing.needs):
        needs[need.secret].append(need)
    whys = await asyncio.gather(*(_why(asked, wanted or [Need(name, name)]) for name, wanted in needs.items()))
    missing = {name: why for name, why in zip(needs, whys, strict=True) if why is not None}
    for handing in handings:
        if missing.keys().isdisjoint(need.secret for need in handing.needs):
            missing |= await _unfit(asked, handing)
    return missing


async def _why(asked: Broker, needs: list[Need]) -> str | None:
    async with asked.leased(needs) as leases:
        try:
            await leases.take()
        except SecretUnavailable as refusal:
            return refusal.why
    return None


async def _unfit(asked: Broker, handing: Handing) -> Mapping[str, str]:
    """A secret that is there, and cannot stand where it goes."""
    async with asked.leased(handing.needs) as leases:
        try:
            handing.hand(await leases.take())
        except SecretUnavailable as refusal:
            return {
                need.secret: refusal.why for need in handing.needs if templates.name_of(need.reference) == refusal.name
            }
    return {}
