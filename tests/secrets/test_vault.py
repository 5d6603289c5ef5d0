"""Credentials from a real OpenBao, of a real PostgreSQL: there between `issue` and `revoke`, and gone right after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shim.secrets.source import Purpose, Unavailable
from shim.secrets.vault import Keys, Vault, Where
from tests.parts.install import MissingPart
from tests.parts.odd import read_ledger
from tests.promises.leasing import asked, configured, note
from tests.promises.running import run, serving
from tests.secrets.asking import put
from tests.secrets.vaults import CHILD, REVOKE, ROLE, USE, Clock, Vaults, around, cutter, lent, made, source, vaults


@pytest.fixture(scope="module")
def real() -> Iterator[Vaults]:
    try:
        with vaults() as found:
            yield found
    except MissingPart as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(autouse=True)
def nothing_is_left(real: Vaults) -> Iterator[None]:
    """Whatever a test shows, no role of its is alive after it."""
    yield
    ended(real)
    assert real.bao.listed("sys/leases/lookup/database/creds/reader") == []


def ended(real: Vaults, but: Sequence[str | None] = ()) -> None:
    """What ends with its token is ended by Vault's own workers, soon after its answer. (The question itself takes time
    enough between two looks.)
    """
    deadline = time.monotonic() + 20
    while real.postgres.roles() != [*but]:
        assert time.monotonic() < deadline, real.postgres.roles()


async def test_a_role_is_there_between_issue_and_revoke_and_can_log_in(real: Vaults) -> None:
    async with source(real.bao.address, token=real.token) as vault:
        lease = await lent(vault)
        values = lease.issued.values
        database = real.postgres
        assert database.roles() == [values["username"]]
        assert database.ask("SELECT 1", database.of(values["username"] or "", values["password"] or "")) == ["1"]
        assert lease.issued.expires is not None
        assert timedelta(minutes=55) < lease.issued.expires - datetime.now(UTC) <= timedelta(hours=1)
        assert values["password"] not in repr(lease)
        await vault.revoke(lease.revocation, orphaned=False)
        assert database.roles() == []
        # Once more does nothing, as when the broker did not hear of it.
        await vault.revoke(lease.revocation, orphaned=False)


async def test_what_is_kept_has_no_lease_and_no_name_reaches_anothers(real: Vaults) -> None:
    real.bao.write("secret/data/users/a/b", data={"token": "of-b-below-a"})
    real.bao.write("secret/data/users/a%252Fb", data={"token": "of-a/b-alone"})
    keys = Keys(path="secret/data/users/{identity}", field="token")
    async with source(real.bao.address, token=real.token) as vault:
        purpose = Purpose("l1", "a/b")
        assert await vault.prepare(keys, purpose) is None
        issued = await vault.issue(keys, frozenset({None, "token"}), purpose)
        assert issued.values == {None: "of-a/b-alone", "token": "of-a/b-alone"}
        assert (issued.expires, issued.revocation) == (None, None)
        with pytest.raises(Unavailable, match=r"answered 404 to GET secret/data/users/c%2F\.\.%2Fa%2Fb"):
            await vault.issue(keys, frozenset({None}), Purpose("l2", "c/../a/b"))


async def test_what_is_sent_for_a_secret_is_filled_and_stays_json(real: Vaults) -> None:
    real.bao.write("sys/mounts/transit", type="transit")
    real.bao.write("transit/keys/k")
    token = real.bao.token("mac", 'path "transit/hmac/k" { capabilities = ["update"] }\n' + CHILD)
    keys = Keys(path="transit/hmac/k", field="hmac", params={"input": "{claims.of}", "key_version": 1})
    async with source(real.bao.address, token=token) as vault:
        purpose = Purpose("l1", claims={"of": "Zm9v"})
        prepared = await vault.prepare(keys, purpose)
        assert prepared is not None
        issued = await vault.issue(keys, frozenset({None}), purpose)
        assert issued.values[None] == real.bao.write("transit/hmac/k", input="Zm9v")["data"]["hmac"]
        # It has no lease, so there is nothing to revoke.
        assert (issued.expires, issued.revocation) == (None, None)


async def test_in_a_namespace_of_its_own(real: Vaults) -> None:
    real.bao.write("sys/namespaces/team")
    real.bao.write("team/sys/mounts/secret", type="kv", options={"version": "2"})
    real.bao.write("team/sys/policies/acl/all", policy=USE + CHILD)
    token = real.bao.write("team/auth/token/create", policies=["all"])["auth"]["client_token"]
    # A new engine of this kind answers 400 until it is ready.
    deadline = time.monotonic() + 20
    while real.bao.send("PUT", "team/secret/data/x", {"data": {"token": "of-the-team"}}).status_code != 200:
        assert time.monotonic() < deadline
    where = {"address": real.bao.address, "namespace": "team", "auth": {"token": token}}
    vault = Vault("bao", Where.model_validate(where), around())
    issued = await vault.issue(Keys(path="secret/data/x"), frozenset({"token"}), Purpose("l1"))
    assert issued.values == {"token": "of-the-team"}
    await vault.close()


async def test_many_at_once_share_one_token_and_leave_nothing(real: Vaults) -> None:
    async with source(real.bao.address, approle=real.approle) as vault:

        async def one(number: int) -> tuple[str | None, object]:
            lease = await lent(vault, f"l{number}")
            await vault.revoke(lease.revocation, orphaned=False)
            return lease.user, lease.revocation["token"]

        done = await asyncio.gather(*(one(number) for number in range(48)))
        assert len({user for user, _ in done}) == 48
        assert len({token for _, token in done}) == 1
        assert real.postgres.roles() == []


@pytest.mark.parametrize("way", ["token_file", "approle", "jwt", "kubernetes"])
async def test_each_way_to_prove_itself(real: Vaults, way: str, tmp_path: Path) -> None:
    ways: dict[str, Any] = {
        "token_file": str(put(tmp_path / "token", real.token + "\n")),
        "approle": real.approle,
        "jwt": {"role": "shim", "token_file": str(put(tmp_path / "jwt", real.jwt()))},
        # What Kubernetes asks is the same but for the mount; it leaves its files readable.
        "kubernetes": {"role": "shim", "mount": "jwt", "token_file": str(put(tmp_path / "k", real.jwt(), 0o644))},
    }
    async with source(real.bao.address, **{way: ways[way]}) as vault:
        lease = await lent(vault)
        token = str(lease.revocation["token"])
        assert token != real.token
        await vault.revoke(lease.revocation, orphaned=False)
        assert real.knows(token)
    assert not real.knows(token)
    assert real.knows(real.token)


async def test_a_callers_own_token_is_one_login_for_one_lease(real: Vaults) -> None:
    async with source(real.bao.address, jwt={"role": "shim", "caller": True}) as vault:
        lease = await lent(vault, token=real.jwt("alice"))
        token = str(lease.revocation["token"])
        found = real.bao.write("auth/token/lookup", token=token)["data"]
        assert found["display_name"] == "jwt-alice"
        await vault.revoke(lease.revocation, orphaned=False)
        assert not real.knows(token)
        ended(real)
        with pytest.raises(Unavailable, match="the caller's own access token, and there is none"):
            await lent(vault)
        with pytest.raises(Unavailable, match="answered 400 to PUT auth/jwt/login") as caught:
            await lent(vault, token=real.jwt() + "x")
        assert real.jwt()[:20] not in str(caught.value)


async def test_an_answer_may_be_wrapped_on_its_way(real: Vaults) -> None:
    async with source(real.bao.address, token=real.token) as vault:
        lease = await lent(vault, keys=Keys(path=ROLE.path, wrap=60.0))
        assert real.postgres.roles() == [lease.user]
        await vault.revoke(lease.revocation, orphaned=False)


async def test_a_lease_is_made_as_short_as_the_secret_says(real: Vaults) -> None:
    async with source(real.bao.address, token=real.token) as vault:
        lease = await lent(vault, ttl=60.0)
        assert lease.issued.expires is not None
        assert lease.issued.expires - datetime.now(UTC) <= timedelta(seconds=60)
        found = real.bao.write("sys/leases/lookup", lease_id=lease.revocation["lease"])["data"]
        assert 50 < found["ttl"] <= 60
        await vault.revoke(lease.revocation, orphaned=False)


async def test_a_token_without_children_is_used_itself_and_never_ended(real: Vaults) -> None:
    token = real.bao.token("no-child", USE + REVOKE, ttl="2h")
    async with source(real.bao.address, token=token) as vault:
        lease = await lent(vault)
        assert lease.revocation["token"] == token
        await vault.revoke(lease.revocation, orphaned=False)
        assert real.postgres.roles() == []
        orphan = await lent(vault, "l2")
        await vault.revoke(orphan.revocation, orphaned=True)
    assert real.knows(token)


async def test_where_leases_may_not_be_revoked_their_token_ends_them(real: Vaults) -> None:
    real.bao.token("no-revoke", USE)
    real.bao.write("auth/approle/role/less", token_policies=["no-revoke"], token_ttl="1h")
    role_id = real.bao.read("auth/approle/role/less/role-id")["data"]["role_id"]
    secret_id = real.bao.write("auth/approle/role/less/secret-id")["data"]["secret_id"]
    async with source(real.bao.address, approle={"role_id": role_id, "secret_id": secret_id}) as vault:
        one, other = await lent(vault, "l1"), await lent(vault, "l2")
        with pytest.raises(Unavailable, match="once 1 others under it are over"):
            await vault.revoke(one.revocation, orphaned=False)
        async with source(real.bao.address, approle={"role_id": role_id, "secret_id": secret_id}) as another:
            with pytest.raises(Unavailable, match="another process of the shim goes on to use"):
                await another.revoke(other.revocation, orphaned=False)
        assert real.knows(str(other.revocation["token"]))
        await vault.revoke(other.revocation, orphaned=False)
        await vault.revoke(one.revocation, orphaned=False)
        assert not real.knows(str(one.revocation["token"]))
        ended(real)


async def test_what_a_process_left_ends_with_its_token(real: Vaults) -> None:
    dead = made(real.bao.address, token=real.token)
    known, unknown = await lent(dead, "l1"), await lent(dead, "l2")
    assert unknown.prepared is not None
    assert "lease" not in unknown.prepared
    async with source(real.bao.address, token=real.token) as vault:
        await vault.revoke(known.revocation, orphaned=True)
        assert known.user not in real.postgres.roles()
        await vault.revoke(unknown.prepared, orphaned=True)
        assert not real.knows(str(unknown.prepared["token"]))
        ended(real)


async def test_a_lost_answer_is_ended_by_its_token_once_others_are_over(real: Vaults) -> None:
    async with cutter(real.bao) as cut, source(cut.address, token=real.token) as vault:
        other = await lent(vault, "l1")
        cut.cuts = True
        purpose = Purpose("l2")
        prepared = await vault.prepare(ROLE, purpose)
        assert prepared is not None
        with pytest.raises(Unavailable, match="broke off"):
            await vault.issue(ROLE, frozenset({"username"}), purpose)
        cut.cuts = False
        assert len(real.postgres.roles()) == 2
        with pytest.raises(Unavailable, match="once 1 others under it are over"):
            await vault.revoke(prepared, orphaned=False)
        # Nothing new is made under that token, and what is in use goes on.
        after = await lent(vault, "l3")
        assert after.revocation["token"] != prepared["token"]
        assert len(real.postgres.roles()) == 3
        await vault.revoke(other.revocation, orphaned=False)
        await vault.revoke(prepared, orphaned=False)
        assert not real.knows(str(prepared["token"]))
        ended(real, but=[after.user])
        await vault.revoke(after.revocation, orphaned=False)


async def test_its_own_token_is_renewed_at_half_its_time_and_made_anew_at_its_end(real: Vaults) -> None:
    clock = Clock()
    async with source(real.bao.address, clock, approle=real.approle) as vault:

        async def token() -> str:
            lease = await lent(vault)
            await vault.revoke(lease.revocation, orphaned=False)
            return str(lease.revocation["token"])

        first = await token()
        clock.more = timedelta(minutes=29)
        assert await token() == first
        assert "last_renewal" not in real.bao.write("auth/token/lookup", token=first)["data"]
        clock.more = timedelta(minutes=31)
        assert await token() == first
        assert real.bao.write("auth/token/lookup", token=first)["data"]["last_renewal"]
        clock.more = timedelta(hours=3)
        assert await token() != first


async def test_a_token_that_was_ended_elsewhere_costs_one_call(real: Vaults) -> None:
    async with source(real.bao.address, approle=real.approle) as vault:
        lease = await lent(vault)
        await vault.revoke(lease.revocation, orphaned=False)
        real.bao.write("auth/token/revoke", token=lease.revocation["token"])
        with pytest.raises(Unavailable, match="the next call has a new one"):
            await lent(vault, "l2")
        again = await lent(vault, "l3")
        await vault.revoke(again.revocation, orphaned=False)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (Keys(path="database/creds/none"), "answered 400 to GET database/creds/none"),
        (Keys(path="secret/data/none", field="x"), "answered 404 to GET secret/data/none; see that something is there"),
        (Keys(path="sys/raw/x"), "answered 403 to GET sys/raw/x; see that the policies of the shim's token allow it"),
    ],
)
async def test_what_vault_refuses_leaves_nothing_and_its_token_is_used_on(real: Vaults, keys: Keys, why: str) -> None:
    async with source(real.bao.address, token=real.token) as vault:
        purpose = Purpose("l1")
        prepared = await vault.prepare(keys, purpose)
        with pytest.raises(Unavailable, match=why):
            await vault.issue(keys, frozenset({"username"}), purpose)
        if prepared is not None:
            await vault.revoke(prepared, orphaned=False)
            after = await lent(vault, "l2")
            assert after.revocation["token"] == prepared["token"]
            await vault.revoke(after.revocation, orphaned=False)


async def test_a_lease_without_the_field_that_is_asked_for_is_revoked(real: Vaults) -> None:
    async with source(real.bao.address, token=real.token) as vault:
        purpose = Purpose("l1")
        prepared = await vault.prepare(ROLE, purpose)
        assert prepared is not None
        with pytest.raises(Unavailable, match="no text under nothing"):
            await vault.issue(ROLE, frozenset({"nothing"}), purpose)
        assert len(real.postgres.roles()) == 1
        await vault.revoke(prepared, orphaned=False)
        assert real.postgres.roles() == []


async def test_while_it_is_sealed_nothing_is_issued_and_what_was_is_revoked_after(real: Vaults) -> None:
    async with source(real.bao.address, token=real.token) as vault:
        lease = await lent(vault)
        real.bao.seal()
        try:
            with pytest.raises(Unavailable, match=r"answered 503 to GET .*; it is sealed or does not serve; unseal it"):
                await lent(vault, "l2")
            with pytest.raises(Unavailable, match="answered 503 to PUT sys/leases/revoke"):
                await vault.revoke(lease.revocation, orphaned=False)
        finally:
            real.bao.unseal()
        await vault.revoke(lease.revocation, orphaned=False)
        assert real.postgres.roles() == []


async def test_a_role_is_revoked_by_hand_and_only_that_one(tmp_path: Path, real: Vaults) -> None:
    source = {"type": "vault", "address": real.bao.address, "auth": {"approle": real.approle}}
    secret = {"source": "bao", "path": "database/creds/reader", "scope": "identity"}
    config = configured(
        tmp_path, {"bao": source}, {"db": secret}, USER="${secret:db.username}", PASS="${secret:db.password}"
    )
    async with serving(config) as shim:
        await note(shim, "alice")
        (hers,) = real.postgres.roles()
        await note(shim, "bob")
        leases = await asked(config, "leases")
        code, _, err = await run(config, "secrets", "revoke", leases[0]["lease"])
        assert code == 0, err
        # The other, made under the same token of the shim's, goes on.
        (left,) = real.postgres.roles()
        assert left != hers
        await note(shim, "alice")
        await note(shim, "bob")
        assert left in real.postgres.roles()
        alice, bob, later, same = [entry["pid"] for entry in read_ledger(tmp_path / "ledger")]
        assert (later != alice, same) == (True, bob)
    assert real.postgres.roles() == []
