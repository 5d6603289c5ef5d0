"""What people type in: kept sealed for each, handed out to their own calls alone, and asked for where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import keyring
import keyring.backend
import pytest
from pydantic import ValidationError

from shim.errors import NotTheirs, SecretUnavailable, SecretWanted, Unfit
from shim.lending import Need, Want
from shim.secrets.user import Keys, Where
from tests.secrets.persons import process, stored

VALUE = "canary-of-alice-7f3a9c51"


async def test_what_one_person_gives_is_handed_to_their_calls_until_it_is_deleted(tmp_path: Path) -> None:
    async with process(tmp_path) as one:
        # given a call that has led its person to the page
        ticket = await one.ticket("typed")
        want = Want("alice", "typed", "A token of the tracker", "https://tracker.test/tokens", is_consent=False)
        assert one.giver.want(ticket) == want
        # when they give it, with what was copied along
        await one.giver.give(ticket, "alice", f" {VALUE}\r\n")
        # then it is theirs alone
        assert await one.lease("typed") == VALUE
        with pytest.raises(SecretWanted):
            await one.lease("typed", "bob")
        (row,) = await one.giver.all()
        assert (row.identity, row.source, row.secret, row.expires, row.refreshed) == (
            "alice",
            "people",
            "typed",
            None,
            None,
        )
        # and it is deleted once
        assert await one.giver.delete("alice", "people", "typed", by="root")
        assert not await one.giver.delete("alice", "people", "typed", by="root")
        with pytest.raises(SecretWanted):
            await one.lease("typed")
        said = {"identity": "alice", "secret": "typed", "source": "people"}
        assert one.events() == [
            ("secret.given", said | {"expires": None}),
            ("secret.deleted", said | {"user": "root"}),
        ]
        assert VALUE not in repr((row, one.giver, one.broker))
    assert VALUE.encode() not in stored(tmp_path)
    assert (tmp_path / "people.key").stat().st_mode & 0o777 == 0o600


async def test_what_an_upstream_does_not_accept_is_asked_for_again(tmp_path: Path) -> None:
    async with process(tmp_path) as one:
        await one.giver.give(await one.ticket("typed"), "alice", VALUE)
        assert await one.lease("typed", doubted=True) == VALUE
        await one.giver.give(await one.ticket("typed"), "alice", f"{VALUE}-new")
        assert await one.lease("typed") == f"{VALUE}-new"
        assert [(kind, body.get("why")) for kind, body in one.events()] == [
            ("secret.given", None),
            ("secret.died", "the upstream does not accept it"),
            ("secret.given", None),
        ]


@pytest.mark.parametrize("value", ["", "  \n", "short", f"{VALUE}\n{VALUE}", f"{VALUE}\0", "x" * 70_000])
async def test_what_cannot_be_used_is_not_kept(tmp_path: Path, value: str) -> None:
    async with process(tmp_path) as one:
        with pytest.raises(Unfit) as caught:
            await one.giver.give(await one.ticket("typed"), "alice", value)
        assert VALUE not in str(caught.value)
        assert not await one.giver.all()


async def test_a_ticket_is_for_one_person_and_for_ten_minutes_and_good_at_any_process(tmp_path: Path) -> None:
    async with process(tmp_path) as one, process(tmp_path, name="two") as two:
        ticket = await one.ticket("typed")
        for wrong in ("", "x", ticket[:-1], ticket + "A", ticket[::-1], f"{ticket}=", "A" * 5000):
            assert one.giver.want(wrong) is None
            with pytest.raises(Unfit, match="not good any more"):
                await one.giver.give(wrong, "alice", VALUE)
        with pytest.raises(NotTheirs):
            await two.giver.give(ticket, "bob", VALUE)
        with pytest.raises(NotTheirs):
            await two.giver.consent(ticket, "bob", "https://shim.test/given")
        two.clock.ahead = timedelta(minutes=10)
        assert two.giver.want(ticket) is None
        two.clock.ahead = timedelta(minutes=9)
        await two.giver.give(ticket, "alice", VALUE)
        assert await one.lease("typed") == VALUE


async def test_a_key_that_is_gone_is_not_made_anew_and_another_one_asks_again(tmp_path: Path) -> None:
    key = tmp_path / "people.key"
    async with process(tmp_path) as one:
        await one.giver.give(await one.ticket("typed"), "alice", VALUE)
    kept = key.read_bytes()
    key.unlink()
    async with process(tmp_path) as one:
        with pytest.raises(SecretUnavailable) as caught:
            await one.lease("typed")
        assert f"{key} is missing" in caught.value.why
        with pytest.raises(Unfit, match="cannot be kept now"):
            await one.giver.give(await one.ticket("typed", "bob"), "bob", VALUE)
        key.write_bytes(kept)
        with pytest.raises(SecretUnavailable, match="not available") as caught:
            await one.lease("typed")
        assert "chmod 600" in caught.value.why
        key.chmod(0o600)
        assert await one.lease("typed") == VALUE
    key.write_bytes(b"another key, of 32 bytes or so ...\n")
    async with process(tmp_path) as one:
        await one.giver.give(await one.ticket("typed"), "alice", f"{VALUE}-new")
        assert await one.lease("typed") == f"{VALUE}-new"


async def test_what_one_person_gave_opens_as_nobody_elses(tmp_path: Path) -> None:
    async with process(tmp_path) as one:
        for who in ("alice", "bob"):
            await one.giver.give(await one.ticket("typed", who), who, f"{VALUE}-{who}")
        rows = {row.identity: row for row in await one.giver.all()}
        await one.swap(rows["alice"].sealed, "bob")
        with pytest.raises(SecretWanted):
            await one.lease("typed", "bob")


class Ring(keyring.backend.KeyringBackend):
    """A backend of the library that keeps all in memory."""

    priority = 1

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def ring() -> Iterator[Ring]:
    before = keyring.get_keyring()
    ring = Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


async def test_the_key_may_be_in_the_keyring(tmp_path: Path, ring: Ring) -> None:
    more = {"people": {"type": "user", "key": "keyring:"}}
    async with process(tmp_path, more=more) as one:
        await one.giver.give(await one.ticket("typed"), "alice", VALUE)
        ((place, key),) = ring.kept.items()
        assert place == ("mcp-shim", "key of people")
        assert len(key) == 44
    async with process(tmp_path, name="two", more=more) as two:
        assert await two.lease("typed") == VALUE
    ring.kept.clear()
    async with process(tmp_path, name="three", more=more) as three:
        with pytest.raises(SecretUnavailable) as caught:
            await three.lease("typed")
        assert "user 'key of people') is missing" in caught.value.why
        assert not ring.kept


async def test_nobody_is_there_when_a_catalog_is_read(tmp_path: Path) -> None:
    async with process(tmp_path) as one, one.broker.leased([Need("key", "typed")]) as leases:
        with pytest.raises(SecretUnavailable) as caught:
            await leases.take()
        assert not isinstance(caught.value, SecretWanted)
        assert "nobody is there" in caught.value.why


@pytest.mark.parametrize("key", ["vault:bao", "vault:/people", "vault:bao/../x", "people.key", "file:", "keyring", ""])
def test_where_the_key_is_has_to_be_said(key: str) -> None:
    with pytest.raises(ValidationError, match="file:PATH"):
        Where(key=key)


@pytest.mark.parametrize(
    "url", ["http://tracker.test", "javascript:alert(1)", "https://", "https://a@b/", "https://x/\n"]
)
def test_people_are_led_to_https_addresses_alone(url: str) -> None:
    with pytest.raises(ValidationError, match="https address"):
        Keys(prompt="x", url=url)
