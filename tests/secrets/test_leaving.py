"""Sources of a configuration that was replaced: used by what began before, and closed with their last lease."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shim.secrets import config
from shim.secrets.broker import Broker
from shim.secrets.config import SecretBlock, SourceBlock
from tests.secrets.lending import NEED, Lender, calling, known, lending, opened
from tests.secrets.test_issuing import until


@dataclass
class Closing(Lender):
    closed: int = 0

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Made:
    """Each source that was made of the configuration, in order."""

    all: list[Closing] = field(default_factory=list)

    def __call__(self, *_: Any) -> Closing:
        self.all.append(Closing())
        return self.all[-1]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    made = Made()
    kinds = known(Closing())
    kinds["lender"] = kinds["lender"].__class__(**{**_fields(kinds["lender"]), "make": made})
    monkeypatch.setattr(config, "KINDS", kinds)
    return made


def _fields(kind: config.Kind) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in kind.__slots__}


def without_it(broker: Broker) -> Broker:
    return broker.of({"key": SecretBlock.model_validate({"source": "env", "name": "KEY"})})


async def test_a_source_is_closed_with_its_last_lease_and_not_before(tmp_path: Path, made: Made) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, _):
        (source,) = made.all
        async with broker.leased([NEED], *calling()) as leases:
            value = (await leases.take()).values["key"]
            without_it(broker).put_in_force()
            # A call that began before, and asks only now, is of the configuration before.
            async with broker.leased([NEED], *calling()) as late:
                assert (await late.take()).values["key"] != value
            assert source.closed == 0
            assert len(source.live) == 1
        assert (source.closed, source.live) == (1, {})


async def test_one_of_which_nothing_is_alive_is_closed_at_once(tmp_path: Path, made: Made) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, _):
        async with broker.leased([NEED], *calling()) as leases:
            await leases.take()
        without_it(broker).put_in_force()
        await until(lambda: made.all[0].closed == 1)


async def test_what_could_not_be_revoked_yet_keeps_its_source(tmp_path: Path, made: Made) -> None:
    async with opened(tmp_path, "one") as store, lending(store, key={}) as (broker, issuer):
        (source,) = made.all
        source.keeps = True
        async with broker.leased([NEED], *calling()) as leases:
            await leases.take()
        without_it(broker).put_in_force()
        await issuer.tidy()
        assert source.closed == 0
        source.keeps = False
        await issuer.tidy()
        assert (source.closed, source.live) == (1, {})


async def test_a_configuration_that_does_not_come_into_force_changes_nothing(tmp_path: Path, made: Made) -> None:
    blocks = {"desk": SourceBlock.model_validate({"type": "lender"})}
    secrets = {"key": SecretBlock.model_validate({"source": "desk", "scope": "identity"})}
    async with opened(tmp_path, "one") as store, lending(store, key={"scope": "identity"}) as (broker, issuer):
        without_it(broker)
        # One that is as before goes on, and so do its leases.
        same = broker.of(secrets, blocks)
        values = []
        for one in (broker, same):
            async with one.leased([NEED], *calling()) as leases:
                values.append((await leases.take()).values["key"])
        assert values[0] == values[1]
        assert len(made.all) == 1
        assert made.all[0].closed == 0
        assert issuer.sources.get("desk") is made.all[0]
