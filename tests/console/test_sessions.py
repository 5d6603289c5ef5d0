"""What a browser keeps of somebody, and how often a wrong token is tried."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime, timedelta

from shim.console.attempts import PER_ADDRESS, Attempts
from shim.console.sessions import Person, Sessions
from shim.model import Credential, Identity
from tests.console.serving import KEY

ALICE = Credential(Identity("alice"), "alice-token")
NOW = 1_800_000_000.0


def made(clock: float = NOW, key: bytes = KEY) -> Sessions:
    return Sessions(key, os.urandom, lambda: clock)


def test_another_process_of_the_store_reads_it_and_nobody_else() -> None:
    kept = made().begin(ALICE)
    person = made().read(kept)
    assert person is not None
    assert (person.credential, person.identity, person.until) == ("alice-token", "alice", NOW + 900)
    assert made().is_marked(person, "t", made().mark(person, "t"))
    assert made(key=bytes(32)).read(kept) is None
    assert not made(key=bytes(32)).is_marked(person, "t", made().mark(person, "t"))
    assert made(NOW + 900).read(kept) is None
    assert made().begin(ALICE) != kept


def test_what_was_changed_anywhere_is_none() -> None:
    sealed = base64.urlsafe_b64decode(made().begin(ALICE) + "===")
    for at in range(len(sealed)):
        other = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert made().read(base64.urlsafe_b64encode(other).decode().rstrip("=")) is None
    for text in ("", "a", "A" * 4000, "....", "é", "AAAA" * 7):
        assert made().read(text) is None


def test_it_does_not_outlive_the_credential() -> None:
    ends = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=60)
    person = made().read(made().begin(Credential(Identity("alice"), "alice-token", ends=ends)))
    assert person is not None
    assert person.until == NOW + 60


def test_a_mark_is_of_one_sign_in_and_one_ticket() -> None:
    one, other = Person("c", "alice", NOW, "1"), Person("c", "alice", NOW, "2")
    marks = {made().mark(person, ticket) for person in (one, other) for ticket in ("t", "u")}
    assert len(marks) == 4


def test_one_address_does_not_close_the_door_to_another() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(PER_ADDRESS):
        attempts.failed("10.0.0.1")
    assert (attempts.wait("10.0.0.1"), attempts.wait("10.0.0.2"), attempts.wait(None)) == (60, 0, 0)
    for number in range(5000):
        if not attempts.wait(f"10.1.{number}"):
            attempts.failed(f"10.1.{number}")
    now[0] = 59.5
    assert (attempts.wait("10.1.4999"), attempts.wait("10.1.1")) == (1, 0)
    now[0] = 60.0
    assert (attempts.wait("10.1.4999"), attempts.wait("10.0.0.1")) == (0, 0)
