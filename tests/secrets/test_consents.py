"""What people allow at an authorization server: got with PKCE, refreshed by one at a time, and ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from starlette.responses import Response

from shim.errors import NotTheirs, SecretUnavailable, SecretWanted, Unfit
from shim.model import JsonObject
from tests.secrets.issuer import CLIENT, Server, serving
from tests.secrets.persons import BACK, process, stored

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEARLY_OVER, OVER = timedelta(seconds=250), timedelta(seconds=301)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.forget()
    return running


def refreshed(server: Server) -> int:
    return sum(form["grant_type"] == "refresh_token" for form in server.asked if "grant_type" in form)


async def test_what_is_allowed_is_used_refreshed_and_ended(server: Server, tmp_path: Path) -> None:
    async with process(tmp_path, server) as one:
        # given a person that is sent where they can allow it
        ticket = await one.ticket("allowed")
        want = one.giver.want(ticket)
        assert want is not None
        assert (want.is_consent, want.url) == (True, None)
        assert urlsplit(server.url).netloc in want.prompt
        asked = parse_qs(urlsplit(await one.giver.consent(ticket, "alice", BACK)).query)
        assert len(asked["code_challenge"][0]) == 43
        assert {name: asked[name] for name in asked.keys() - {"state", "code_challenge"}} == {
            "prompt": ["consent"],
            "response_type": ["code"],
            "client_id": [CLIENT],
            "redirect_uri": [BACK],
            "code_challenge_method": ["S256"],
            "scope": ["read write"],
            "resource": ["https://tickets.test/mcp"],
        }
        # when they allow it
        await one.agree("allowed")
        # then their calls have a token, the same until it is nearly over
        first = await one.lease("allowed")
        assert await one.lease("allowed") == first
        assert first in server.alive
        with pytest.raises(SecretWanted):
            await one.lease("allowed", "bob")
        one.clock.ahead = NEARLY_OVER
        second = await one.lease("allowed")
        assert second != first
        assert refreshed(server) == 1
        # and both it and what refreshes it are ended when it is deleted
        assert await one.giver.delete("alice", "idp", "allowed", by="root")
        assert second not in server.alive
        assert not any("refresh" in token for token in server.alive)
        assert [kind for kind, _ in one.events()] == ["secret.given", "secret.refreshed", "secret.deleted"]
        assert b"opaque-" not in stored(tmp_path)


async def test_of_two_processes_that_refresh_at_once_one_does(server: Server, tmp_path: Path) -> None:
    async with process(tmp_path, server) as one:
        await one.agree("allowed")
        async with process(tmp_path, server, "two") as two:
            for each in (one, two):
                each.clock.ahead = OVER
            tokens = await asyncio.gather(*(each.lease("allowed") for each in (one, two) for _ in range(8)))
        assert len(set(tokens)) == 1
        assert refreshed(server) == 1


async def test_what_is_refreshed_no_more_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    async with process(tmp_path, server) as one:
        await one.agree("allowed")
        server.alive.clear()
        one.clock.ahead = OVER
        with pytest.raises(SecretWanted):
            await one.lease("allowed")
        assert [kind for kind, _ in one.events()] == ["secret.given", "secret.died"]
        assert not await one.giver.all()
        await one.agree("allowed")
        assert await one.lease("allowed") in server.alive


async def test_a_server_that_fails_to_refresh_is_asked_again(server: Server, tmp_path: Path) -> None:
    async with process(tmp_path, server) as one:
        await one.agree("allowed")
        token = await one.lease("allowed")
        server.fails = Response("no", 503)
        one.clock.ahead = NEARLY_OVER
        assert await one.lease("allowed") == token
        one.clock.ahead = OVER
        with pytest.raises(SecretUnavailable) as caught:
            await one.lease("allowed")
        assert "answered 503" in caught.value.why
        server.fails = None
        assert await one.lease("allowed") != token
        assert [kind for kind, _ in one.events()] == ["secret.given", "secret.refreshed"]


async def test_without_a_refresh_token_it_is_asked_for_again_when_it_is_over(server: Server, tmp_path: Path) -> None:
    async with process(tmp_path, server) as one:
        server.changes = {"refresh_token": None}
        await one.agree("allowed")
        one.clock.ahead = NEARLY_OVER
        assert await one.lease("allowed") in server.alive
        one.clock.ahead = OVER
        await one.agree("allowed")
        assert [kind for kind, _ in one.events()] == ["secret.given", "secret.died", "secret.given"]


async def test_what_is_not_accepted_is_refreshed_once_and_then_asked_for_again(server: Server, tmp_path: Path) -> None:
    async with process(tmp_path, server) as one:
        await one.agree("allowed")
        first = await one.lease("allowed", doubted=True)
        second = await one.lease("allowed", doubted=True)
        assert second != first
        with pytest.raises(SecretWanted):
            await one.lease("allowed")
        assert [kind for kind, _ in one.events()] == ["secret.given", "secret.refreshed", "secret.died"]


WRONG: list[tuple[JsonObject, str]] = [
    ({"state": "x"}, "not good any more"),
    ({"back": "https://shim.test/other"}, "not good any more"),
    ({"iss": "https://mixed-up.test"}, "Another server"),
    ({"code": None, "error": "access_denied"}, "did not allow"),
    ({"code": None, "error": "<script>"}, "did not allow"),
    ({"code": None}, "nothing back"),
    ({"code": "code-of-another"}, "invalid_grant"),
]


@pytest.mark.parametrize(("wrong", "why"), WRONG)
async def test_who_comes_back_otherwise_is_refused(server: Server, tmp_path: Path, wrong: JsonObject, why: str) -> None:
    async with process(tmp_path, server) as one:
        said = {"error": None, "back": BACK, **await one.consent("allowed"), **wrong}
        with pytest.raises(Unfit, match=why) as caught:
            await one.giver.agreed(said["state"], "alice", said["back"], said["code"], said["error"], said["iss"])
        assert "script" not in str(caught.value)
        assert not await one.giver.all()
        assert not server.alive


async def test_who_comes_back_is_the_person_that_left_and_comes_once(server: Server, tmp_path: Path) -> None:
    async with process(tmp_path, server) as one:
        said = await one.consent("allowed")
        with pytest.raises(NotTheirs):
            await one.giver.agreed(said["state"], "bob", BACK, said["code"], None, said["iss"])
        assert not await one.giver.all()
        await one.giver.agreed(said["state"], "alice", BACK, said["code"], None, said["iss"])
        with pytest.raises(Unfit, match="already"):
            await one.giver.agreed(said["state"], "alice", BACK, said["code"], None, said["iss"])
        late = await one.consent("allowed", "bob")
        one.clock.ahead = timedelta(minutes=10)
        with pytest.raises(Unfit, match="not good any more"):
            await one.giver.agreed(late["state"], "bob", BACK, late["code"], None, late["iss"])
        assert len(server.codes) == 1
