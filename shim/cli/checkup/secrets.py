"""Every secret asked of its source once: whether it can be had, never what it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shim import templates
from shim.cli.checkup.checks import Check, Section
from shim.errors import SecretUnavailable

if TYPE_CHECKING:
    from shim.config.configuration import Configuration
    from shim.model import Need

_say = Section("secrets")


def checks(configuration: Configuration, environ: Mapping[str, str]) -> Iterator[Check]:
    """All lines of the section. Values are dropped as soon as they are there."""
    from shim.cli.running import run

    if not configuration.secrets:
        yield _say.info("none", "no secrets are configured")
        return
    why = run(_asked(configuration, environ))
    for name, block in configuration.secrets.items():
        place = configuration.secret_places[name]
        if name in why:
            yield _say.error(name, f"{block.source}: {why[name]}", f"provide it, or see {place.file}:{place.line}")
        else:
            yield _say.info(name, f"{block.source}: it is there; long-lived: it holds until somebody changes it")


async def _asked(configuration: Configuration, environ: Mapping[str, str]) -> dict[str, str]:
    """Why each secret that cannot be had cannot."""
    from shim.app import new_id
    from shim.secrets.broker import Broker

    broker = Broker(configuration.secrets, environment=environ, random=os.urandom, new_id=new_id)
    why: dict[str, str] = {}
    for name in configuration.secrets:
        try:
            await broker.issue(name, _needs(configuration, name))
        except SecretUnavailable as error:
            why[name] = error.why
    return why


def _needs(configuration: Configuration, secret: str) -> list[Need]:
    """What upstreams want of a secret, by its own name or as the one that reads their catalog."""
    from shim.model import Need

    references: dict[str, str | None] = {}
    for block in configuration.upstreams.values():
        stands_for = {secret, *(name for name, catalog in block.catalog.items() if catalog == secret)}
        for text in (*block.headers.values(), *block.env.values()):
            for reference in templates.references(text):
                if templates.name_of(reference) in stands_for:
                    references[reference] = templates.field_of(reference)
    return [Need(reference, secret, field) for reference, field in (references or {secret: None}).items()]
