"""What people give, sealed by a key of a real OpenBao that never leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shim.errors import SecretUnavailable, SecretWanted
from tests.parts.install import MissingPart
from tests.parts.openbao import Bao, openbao
from tests.secrets.persons import process, stored

VALUE = "canary-of-alice-7f3a9c51"
USE = 'path "transit/+/people" { capabilities = ["create", "update"] }\n'


@pytest.fixture
def bao() -> Iterator[Bao]:
    try:
        with openbao() as found:
            found.write("sys/mounts/transit", type="transit")
            yield found
    except MissingPart as missing:
        pytest.fail(str(missing), pytrace=False)


async def test_a_vault_seals_what_people_give_and_opens_it_for_that_person_alone(bao: Bao, tmp_path: Path) -> None:
    vault = {"type": "vault", "address": bao.address, "auth": {"token": bao.token("people", USE)}}
    more = {"bao": vault, "people": {"type": "user", "key": "vault:bao/people"}}
    async with process(tmp_path, more=more) as one:
        # given what two people gave
        for who in ("alice", "bob"):
            await one.giver.give(await one.ticket("typed", who), who, f"{VALUE}-{who}")
            assert await one.lease("typed", who) == f"{VALUE}-{who}"
        rows = {row.identity: row for row in await one.giver.all()}
        assert all(row.sealed.startswith(b"vault:v1:") for row in rows.values())
        assert VALUE.encode() not in stored(tmp_path)
        # when one row is put in the place of the other
        await one.swap(rows["alice"].sealed, "bob")
        # then it opens as nobody's
        with pytest.raises(SecretWanted):
            await one.lease("typed", "bob")
        # and a key that was rotated opens what it sealed before
        bao.write("transit/keys/people/rotate")
        assert await one.lease("typed") == f"{VALUE}-alice"
        bao.seal()
        with pytest.raises(SecretUnavailable) as caught:
            await one.lease("typed")
        assert not isinstance(caught.value, SecretWanted)
        bao.unseal()
