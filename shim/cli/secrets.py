"""What there is to say of the secrets of a configuration, without a word of what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from shim import templates
from shim.cli.reaching import broker
from shim.errors import SecretUnavailable
from shim.lending import Need
from shim.model import JsonObject, Problem

if TYPE_CHECKING:
    from shim.config.configuration import Configuration
    from shim.secrets.broker import Broker
    from shim.secrets.config import Kind, SecretBlock
    from shim.upstream.handing import Handing


def unavailable(configuration: Configuration) -> Mapping[str, str]:
    """Each secret that cannot be had, or cannot stand where it goes, with the reason; every source is asked."""
    from shim.cli.running import run

    return run(_unavailable(configuration)) if configuration.secrets else {}


def problems(configuration: Configuration, missing: Mapping[str, str]) -> Iterator[Problem]:
    """One a secret: an error for those that are `missing`, and of the others in use that they are long-lived."""
    users = _users(configuration)
    for name, place in configuration.secret_places.items():
        if name in missing:
            yield Problem(place.file, place.line, "error", f"the secret {name} is not available: {missing[name]}")
        elif name in users and is_long_lived(configuration, name) and not configuration.secrets[name].is_given:
            each = ", another for each caller" if configuration.secrets[name].is_of_a_caller else ""
            to = ", ".join(users[name])
            message = f"{name} is long-lived{each}: it holds until somebody changes it (handed to {to})"
            yield Problem(place.file, place.line, "warning", message)


def is_long_lived(configuration: Configuration, name: str) -> bool:
    """Whether the values of a secret hold until somebody changes them, as far as its block says."""
    block = configuration.secrets[name]
    return _kind(configuration, block).lasts(block)


def listed(configuration: Configuration) -> Iterator[JsonObject]:
    """`{name, source, kind, scope, ttl, of_a_caller, long_lived, upstreams}` for each; `ttl` in seconds.

    `upstreams` are those that may be handed it, under some grant.
    """
    users = _users(configuration)
    for name, block in configuration.secrets.items():
        source = configuration.sources.get(block.source)
        yield {
            "name": name,
            "source": block.source,
            "kind": source.type if source is not None else block.source,
            "scope": block.scope,
            "ttl": block.ttl,
            "of_a_caller": block.is_of_a_caller,
            "long_lived": is_long_lived(configuration, name),
            "upstreams": users.get(name, []),
        }


def _kind(configuration: Configuration, block: SecretBlock) -> Kind:
    from shim.secrets.config import KINDS

    source = configuration.sources.get(block.source)
    return source.kind if source is not None else KINDS[block.source]


def _users(configuration: Configuration) -> Mapping[str, list[str]]:
    """The upstreams that are handed each secret (under its own name, to read a catalog, or as a grant binds it), and
    the patterns of tools into whose calls it goes.
    """
    users: dict[str, list[str]] = {}
    for upstream, handings in _handings(configuration).items():
        used = {need.secret for handing in handings for need in handing.needs}
        logical = {templates.name_of(need.reference) for need in handings[0].needs}
        for grant in configuration.grants:
            if grant.bind and any(_reaches(pattern, upstream) for pattern in grant.allow):
                used |= {secret for name, secret in grant.bind.items() if name in logical}
        for name in used:
            users.setdefault(name, []).append(upstream)
    for pattern, needs in _fixed(configuration).items():
        for name in dict.fromkeys(need.secret for need in needs):
            users.setdefault(name, []).append(pattern)
    return users


def _reaches(pattern: str, upstream: str) -> bool:
    """Whether a pattern of a grant names anything of an upstream."""
    from shim.policy.globs import Glob

    return Glob(pattern.removeprefix("resource:").removeprefix("prompt:").split("/")[0]).matches(upstream)


def _handings(configuration: Configuration) -> Mapping[str, tuple[Handing, Handing]]:
    """What each upstream is handed in calls, and when its catalog is read."""
    from shim.upstream.handing import Handing

    return {name: (Handing(block), Handing(block, block.catalog)) for name, block in configuration.upstreams.items()}


def _fixed(configuration: Configuration) -> Mapping[str, tuple[Need, ...]]:
    """What goes into calls of the tools that each pattern matches."""
    from shim import fixed

    blocks = configuration.tools.items()
    return {pattern: fixed.needed([*block.fixed.values(), *block.meta.values()]) for pattern, block in blocks}


async def _unavailable(configuration: Configuration) -> Mapping[str, str]:
    handings = [handing for both in _handings(configuration).values() for handing in both]
    # What is another for each caller cannot be asked for without one; nor a name that only a grant binds.
    needs: dict[str, list[Need]] = {name: [] for name, one in configuration.secrets.items() if not one.is_of_a_caller}
    every = [need for handing in handings for need in handing.needs]
    every += [need for wanted in _fixed(configuration).values() for need in wanted]
    for need in dict.fromkeys(need for need in every if need.secret in needs):
        needs[need.secret].append(need)
    async with aclosing(broker(configuration)) as asked:
        whys = await asyncio.gather(*(_why(asked, wanted or [Need(name, name)]) for name, wanted in needs.items()))
        missing = {name: why for name, why in zip(needs, whys, strict=True) if why is not None}
        for handing in handings:
            wanted_ = {need.secret for need in handing.needs}
            if wanted_ <= needs.keys() and missing.keys().isdisjoint(wanted_):
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
