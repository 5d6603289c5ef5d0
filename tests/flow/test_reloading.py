"""What becomes of a changed configuration: in force once it is on the record, or refused as a whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from shim.config.configuration import Configuration
from shim.config.loader import load, recalled
from shim.errors import ConfigurationError, RecordUnavailable
from shim.model import JsonObject, Problem
from shim.record.recorder import Record
from shim.reloading import Reloading

GOOD = "version: 1\nupstreams: {}\nidentities: {me: {}}\n"


class Recorded:
    """A record that can be out of reach; `told` is what came, in order."""

    def __init__(self, told: list[str]) -> None:
        self.down = False
        self.told = told
        self.refused: list[JsonObject] = []

    async def loaded(self, digest: str, texts: object, *, user: str | None = None) -> None:
        if self.down:
            raise RecordUnavailable("the disk is full")
        self.told.append(f"recorded {digest[:6]}")

    async def event(self, kind: str, body: JsonObject) -> None:
        if self.down:
            raise RecordUnavailable("the disk is full")
        assert kind == "config.refused"
        self.refused.append(body)


class World:
    def __init__(self, folder: Path, listen: str | None = None) -> None:
        self.path = folder / "shim.yaml"
        self.told: list[str] = []
        self.record = Recorded(self.told)
        self.reloading = Reloading(
            self.read(GOOD),
            cast(Record, self.record),
            self.prepare,
            listen=listen,
            process="p",
            user="u",
            clock=lambda: datetime(2026, 8, 1, 12, 30, tzinfo=UTC),
        )

    def read(self, text: str) -> Configuration:
        self.path.write_text(text)
        return load(self.path, {})

    async def prepare(self, configuration: Configuration) -> Callable[[], None]:
        return lambda: self.told.append(f"in force {configuration.digest[:6]}")


async def test_it_is_on_the_record_before_it_is_in_force(tmp_path: Path) -> None:
    world = World(tmp_path)
    new = world.read(GOOD + "grants: []\n")
    assert await world.reloading.take(new)
    assert world.told == [f"recorded {new.digest[:6]}", f"in force {new.digest[:6]}"]


async def test_what_cannot_be_recorded_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path)
    new = world.read(GOOD + "grants: []\n")
    world.record.down = True
    assert not await world.reloading.take(new)
    assert not await world.reloading.take(new)
    assert world.told == []
    # and that is said once
    assert [record.message for record in caplog.records] == [
        "the changed configuration waits, and the one before stays in force: the disk is full"
    ]
    world.record.down = False
    assert await world.reloading.take(new)
    assert world.told[-1] == f"in force {new.digest[:6]}"


async def test_the_same_texts_are_no_change(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert await world.reloading.take(world.read(GOOD))
    assert world.told == []


async def test_what_is_settled_at_the_start_is_named_with_its_line_and_since_when(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    moved = GOOD.replace("upstreams", "server:\n  listen: 127.0.0.1:1\nstore: sqlite:other.db\nupstreams")
    assert await world.reloading.take(world.read(moved))
    rest = "cannot change while the shim runs: restart it; until then the configuration read at 2026-08-01T12:30:00Z"
    assert [record.message for record in caplog.records[:2]] == [
        f"{world.path}:3: `server.listen` {rest} stays in force",
        f"{world.path}:4: `store` {rest} stays in force",
    ]
    assert world.told == []
    assert world.record.refused[0]["count"] == 2


async def test_another_address_on_the_command_line_is_held_to_the_new_configuration(tmp_path: Path) -> None:
    # given that it listens beyond this machine, because the command line says so
    world = World(tmp_path, listen="0.0.0.0:1")
    guest = world.read(GOOD.replace("{me: {}}", "{guest: {anonymous: true}}"))
    # when a configuration would let strangers in
    assert await world.reloading.take(guest)
    # then it is refused
    assert world.told == []
    assert world.record.refused[0]["problems"][0]["file"] == "--listen"


async def test_what_is_recorded_is_bounded_and_holds_no_secret(tmp_path: Path) -> None:
    world = World(tmp_path)
    token = "ghp_" + "a1B2" * 9
    problems = [Problem("f", n, "error", f"{token} is wrong " + "x" * 10_000) for n in range(1, 1001)]
    await world.reloading.refuse(problems, None)
    await world.reloading.refuse(problems, None)
    (body,) = world.record.refused
    assert (body["count"], len(body["problems"])) == (1000, 50)
    assert token not in str(body)
    assert all(len(problem["message"]) <= 400 for problem in body["problems"])


async def test_a_header_that_does_not_fit_is_not_repeated(tmp_path: Path) -> None:
    world = World(tmp_path)
    bad = 'version: 1\nupstreams: {a: {url: "https://a.example/", headers: {Authorization: "hush\\x07hush"}}}\n'
    world.path.write_text(bad)
    world.path.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        load(world.path, {})
    assert "hush" not in str(caught.value)


def test_texts_that_were_kept_are_read_as_they_were(tmp_path: Path) -> None:
    # given a configuration of two files, with a certificate that is gone by now
    (tmp_path / "more.yaml").write_text("identities: {more: {groups: ['${env:GROUP}']}}\n")
    for name in ("server.pem", "server.key"):
        (tmp_path / name).touch(0o600)
    (tmp_path / "shim.yaml").write_text(
        GOOD + "include: [more.yaml]\nserver: {tls: {cert: server.pem, key: server.key}}\n"
    )
    then = load(tmp_path / "shim.yaml", {"GROUP": "g"})
    texts = [(name, text.encode()) for name, text in then.texts]
    for name in ("server.pem", "server.key", "more.yaml", "shim.yaml"):
        (tmp_path / name).unlink()
    # when it is recalled
    found = recalled(texts, tmp_path / "shim.yaml", {"GROUP": "g"})
    # then it is the same, and it is said what hangs on the environment
    assert (found.digest, found.identities, found.grants) == (then.digest, then.identities, then.grants)
    assert [(problem.file, problem.line) for problem in found.warnings] == [("more.yaml", 1)]


UNREADABLE = (
    b"\xff",
    b"version: 2\nupstreams: {}\n",
    b"version: 1\nupstreams: {}\ngrants: [{name: g, to: ['*'], allow: ['*/*'], when: 'size('}]\n",
)


@pytest.mark.parametrize("raw", UNREADABLE)
def test_texts_that_this_version_cannot_read_are_an_error(raw: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        recalled([("shim.yaml", raw)], tmp_path / "shim.yaml", {})
