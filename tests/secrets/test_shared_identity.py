"""An identity that several people are: what is leased by who they are is shared by none of them with another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from shim.model import Call, Caller, Credential, Identity
from shim.secrets.oauth import OAuth
from shim.secrets.source import Issued, Purpose
from shim.secrets.vault import Vault
from tests.secrets.asking import put
from tests.secrets.lending import NEED, calling, lending, opened

NOWHERE = "http://127.0.0.1:9"
OAUTH = {"type": "oauth", "token_url": f"{NOWHERE}/t", "client_id": "shim", "client_secret": "a-client-secret"}


def person(email: str, token: str | None = None) -> tuple[Caller, Call]:
    """Somebody of the identity `staff`, with what their access token says of them."""
    caller, call = calling("staff")
    caller = replace(caller, credential=Credential(Identity("staff", claims={"email": email}), "jwt", token=token))
    return caller, replace(call, caller=caller)


@pytest.mark.parametrize("scope", ["run", "identity"])
async def test_who_claims_something_else_gets_another_lease(tmp_path: Path, scope: str) -> None:
    for name in ("ann", "bob"):
        put(tmp_path / name, f"the-token-of-{name}")
    key = {"source": "file", "scope": scope, "path": f"{tmp_path}/{{claims.email}}"}
    values = []
    async with opened(tmp_path, "one") as store, lending(store, {}, key=key) as (broker, _):
        for name in ("ann", "bob", "ann"):
            async with broker.leased([NEED], *person(name)) as leases:
                values.append(((await leases.take()).values["key"], leases.issued[0].id))
    assert [value for value, _ in values] == ["the-token-of-ann", "the-token-of-bob", "the-token-of-ann"]
    assert values[0] == values[2]


@pytest.mark.parametrize(
    ("source", "more"),
    [
        (OAUTH, {"grant": "token_exchange"}),
        ({"type": "vault", "address": NOWHERE, "auth": {"jwt": {"role": "r", "caller": True}}}, {"path": "a/b"}),
    ],
)
async def test_what_is_asked_for_by_an_access_token_is_for_who_shows_that(
    tmp_path: Path, source: Mapping[str, object], more: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def issue(_: object, _secret: object, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        return Issued(dict.fromkeys(fields, f"for {purpose.token}"))

    async def prepare(*_: object) -> None:
        return None

    for kind in (OAuth, Vault):
        monkeypatch.setattr(kind, "issue", issue)
        monkeypatch.setattr(kind, "prepare", prepare)
    key = {"source": "idp", "scope": "identity", **more}
    async with opened(tmp_path, "one") as store, lending(store, {"idp": source}, key=key) as (broker, _):
        for name in ("ann", "bob"):
            async with broker.leased([NEED], *person(name, f"token of {name}")) as leases:
                assert (await leases.take()).values == {"key": f"for token of {name}"}


async def test_what_is_the_same_for_all_of_them_is_shared(tmp_path: Path) -> None:
    key = {"source": "file", "scope": "identity", "path": str(put(tmp_path / "staff", "the-token-of-all"))}
    leased = set()
    async with opened(tmp_path, "one") as store, lending(store, {}, key=key) as (broker, _):
        for name in ("ann", "bob"):
            async with broker.leased([NEED], *person(name, f"token of {name}")) as leases:
                await leases.take()
                leased.add(leases.issued[0].id)
    assert len(leased) == 1
