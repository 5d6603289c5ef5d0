"""What each source gives, when, and what it says when it gives nothing."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shim.errors import SecretUnavailable
from shim.model import Call, Caller, Credential, Identity
from tests.secrets.asking import broker, need, put, taken

CANARY = "canary-7f3a9c"


def a_file(path: Path, **more: str) -> dict[str, dict[str, str]]:
    return {"s": {"source": "file", "path": str(path), **more}}


async def refused(
    secrets: dict[str, dict[str, str]], reference: str = "s", environment: dict[str, str] | None = None
) -> str:
    """Why a secret cannot be had."""
    with pytest.raises(SecretUnavailable) as caught:
        await taken(broker(secrets, environment), reference)
    assert str(caught.value) == (
        "The secret s is not available, so the call was not made: whoever runs this server has to provide it."
    )
    assert CANARY not in caught.value.detail
    return caught.value.why


async def test_a_variable_of_the_environment() -> None:
    found = await taken(broker({"s": {"source": "env", "name": "GIVEN"}}, {"GIVEN": "its-value"}), "s")
    assert found.values == {"s": "its-value"}


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({}, "the environment variable GIVEN is not set; set it where the shim is started"),
        ({"GIVEN": ""}, "it is empty"),
        ({"GIVEN": CANARY + "\udcff"}, "it is not text in UTF-8"),
        ({"GIVEN": CANARY + "\0"}, "it holds a NUL character, which neither a header nor a variable can"),
    ],
)
async def test_a_variable_that_gives_no_value(environment: dict[str, str], why: str) -> None:
    assert await refused({"s": {"source": "env", "name": "GIVEN"}}, environment=environment) == why


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("its-value", "its-value"),
        ("its-value\n", "its-value"),
        ("its-value\r\n", "its-value"),
        ("its-value\n\n", "its-value\n"),
        ("its-value ", "its-value "),
        ("its-val\nue", "its-val\nue"),
        ("\ufeffits-välue", "\ufeffits-välue"),
    ],
)
async def test_a_file_is_its_text_without_the_last_newline(tmp_path: Path, content: str, value: str) -> None:
    assert (await taken(broker(a_file(put(tmp_path / "s", content))), "s")).values == {"s": value}


async def test_fields_are_members_of_the_files_object(tmp_path: Path) -> None:
    path = put(tmp_path / "s", '{"user": "bob-the-builder", "token": "its-token", "a.b": "dots-and-more"}')
    found = await taken(broker(a_file(path, field="token")), "s", "s.user", "s.a.b")
    assert found.values == {"s": "its-token", "s.user": "bob-the-builder", "s.a.b": "dots-and-more"}


async def test_whoever_comes_while_a_file_is_read_shares_the_next_reading(tmp_path: Path) -> None:
    path = put(tmp_path / "s", CANARY)
    asked = broker(a_file(path))
    several = [asyncio.ensure_future(taken(asked, "s")) for _ in range(40)]
    await asyncio.sleep(0)
    left = asyncio.ensure_future(taken(asked, "s"))
    await asyncio.sleep(0)
    left.cancel()
    assert {one.values["s"] for one in await asyncio.gather(*several)} == {CANARY}
    path.chmod(0o644)
    refusals = await asyncio.gather(*(taken(asked, "s") for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in refusals] == [SecretUnavailable] * 3
    assert len({id(one) for one in refusals}) == 3


async def test_a_file_is_read_anew_at_each_call(tmp_path: Path) -> None:
    path = put(tmp_path / "s", "the-old-one")
    asked = broker(a_file(path))
    before = await taken(asked, "s")
    put(tmp_path / "next", "the-new-one").replace(path)
    after = await taken(asked, "s")
    assert (before.values["s"], after.values["s"]) == ("the-old-one", "the-new-one")
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize(
    ("content", "reference", "why"),
    [
        ("", "s", "it is empty"),
        ("\n", "s", "it is empty"),
        (CANARY + "\0", "s", "it holds a NUL character, which neither a header nor a variable can"),
        (CANARY.encode() + b"\xff", "s", "it is not text in UTF-8"),
        (CANARY, "s.token", "the file {} is not one JSON object, so it has no field token"),
        (
            f'{{"{CANARY}": 1, "{CANARY}": 2}}',
            "s.token",
            "the file {} is not one JSON object, so it has no field token",
        ),
        (f'["{CANARY}"]', "s.token", "the file {} is not one JSON object, so it has no field token"),
        (f'{{"x": "{CANARY}"}}', "s.token", "the JSON object in {} has no text under token"),
        (f'{{"token": ["{CANARY}"]}}', "s.token", "the JSON object in {} has no text under token"),
        (CANARY * 6000, "s", "the file {} is longer than 64 KiB; a secret is not"),
    ],
)
async def test_a_file_that_gives_no_value(tmp_path: Path, content: str | bytes, reference: str, why: str) -> None:
    path = put(tmp_path / "s", content)
    assert await refused(a_file(path), reference) == why.format(path)


async def test_a_file_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert await refused(a_file(path)) == f"the file {path} cannot be read: No such file or directory"
    path.mkdir()
    assert await refused(a_file(path)) == f"{path} is not a regular file; put the secret into one"
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert await refused(a_file(tmp_path / "pipe")) == f"{tmp_path}/pipe is not a regular file; put the secret into one"
    assert await refused(a_file(Path("/dev/zero"))) == "/dev/zero is not a regular file; put the secret into one"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert (await refused(a_file(tmp_path / "loop"))).startswith(f"the file {tmp_path}/loop cannot be read: ")
    assert await refused(a_file(Path("a\0b"))) == "the file a\0b cannot be read: no file can have this name"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
async def test_a_file_that_others_have_a_part_in_is_refused(tmp_path: Path, mode: int) -> None:
    path = put(tmp_path / "s", CANARY, mode)
    assert await refused(a_file(path)) == f"group or others can read {path}; chmod 600 it"


async def test_a_link_counts_by_what_it_leads_to(tmp_path: Path) -> None:
    path = put(tmp_path / "s", CANARY)
    (tmp_path / "link").symlink_to(path)
    assert (await taken(broker(a_file(tmp_path / "link")), "s")).values == {"s": CANARY}
    path.chmod(0o644)
    assert "group or others can read" in await refused(a_file(tmp_path / "link"))


async def for_caller(path: str, identity: Identity) -> str:
    """What one caller is leased, or why not."""
    caller = Caller(Credential(identity, "local"), "cli", "2026-07-28")
    call = Call("i1", caller, "r1", "tools/call", "up/tool", "up", {}, datetime.now(UTC), "p")
    asked = broker({"s": {"source": "file", "path": path}})
    async with asked.leased([need("s")], caller, call) as leases:
        try:
            return (await leases.take()).values["s"]
        except SecretUnavailable as refusal:
            return refusal.why


async def test_each_caller_has_a_file_of_their_own(tmp_path: Path) -> None:
    for name in ("alice", "bob", "a%2Fb", "..%2Falice", "up%2Ftool-i1"):
        put(tmp_path / name, f"secret-of-{name}")
    (tmp_path / "acme").mkdir()
    put(tmp_path / "acme" / "x-alice.key", "secret-at-acme")
    path = f"{tmp_path}/{{identity}}"
    # A name is one part of the path, whatever is in it.
    for name, file in (("alice", "alice"), ("bob", "bob"), ("a/b", "a%2Fb"), ("../alice", "..%2Falice")):
        assert await for_caller(path, Identity(name)) == f"secret-of-{file}"
    of_org = f"{tmp_path}/{{claims.org}}/x-{{identity}}.key"
    assert await for_caller(of_org, Identity("alice", claims={"org": "acme"})) == "secret-at-acme"
    assert await for_caller(f"{tmp_path}/{{tool}}-{{invocation}}", Identity("alice")) == "secret-of-up%2Ftool-i1"
    # Nothing else is read in place of what is not there; links are as whoever runs the shim made them.
    (tmp_path / "link").symlink_to(tmp_path / "bob")
    assert await for_caller(path, Identity("link")) == "secret-of-bob"
    for name in (".", ".."):
        assert "a part that would be" in await for_caller(path, Identity(name))
    for name in ("Alice", "carol", "bob\0"):
        assert "there is no file" in await for_caller(path, Identity(name))
    assert "there is no file" in await for_caller(of_org, Identity("alice", claims={"org": "none"}))
    assert "no text or number there" in await for_caller(of_org, Identity("alice"))
    (tmp_path / "bob").chmod(0o640)
    assert "group or others can read" in await for_caller(path, Identity("bob"))
    assert "leased for has none" in await refused(a_file(Path(path)))


RING = {"s": {"source": "keyring", "service": "tickets", "user": "bob"}}


async def test_the_library_for_keyrings_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert await refused(RING) == "the library for keyrings is not installed; pip install 'mcp-shim[keyring]'"
