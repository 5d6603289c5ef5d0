"""Access tokens of an authorization server: for the shim itself, and exchanged on behalf of the caller."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from starlette.responses import JSONResponse, RedirectResponse, Response

from shim.secrets import oauth_client
from shim.secrets.oauth import OAuth
from shim.secrets.oauth_blocks import Keys, Where
from shim.secrets.source import Around, Purpose, Unavailable
from tests.identity.issuer import AnyKey, ec, ed, rsa
from tests.secrets.asking import put
from tests.secrets.issuer import CLIENT, PASSWORD, Server, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEFAULT = frozenset({None})
CALL = Purpose("lease-1", "alice", {"team": "a b", "up": "..", "n": 7}, "tickets/get", "inv-1")
PLAIN = Keys(grant="client_credentials", scopes=("read",))
EXCHANGED = Keys(grant="token_exchange", scopes=("read",), resource="https://tickets.test/mcp", audience="tickets")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """One that knows nothing of what was before."""
    running.forget()
    return running


def made(server: Server, **where: Any) -> OAuth:
    block: dict[str, Any] = {
        "token_url": f"{server.url}/token",
        "revocation_url": f"{server.url}/revoke",
        "client_id": CLIENT,
    }
    if "private_key" not in where:
        block["client_secret"] = PASSWORD
    return OAuth("idp", Where(**{**block, **where}), Around({}, lambda: datetime.now(UTC), os.urandom, lambda: "id"))


@pytest_asyncio.fixture(loop_scope="module")
async def source(server: Server) -> AsyncIterator[OAuth]:
    source = made(server)
    yield source
    await source.close()


def caller(token: str | None) -> Purpose:
    return Purpose("lease-1", "alice", CALL.claims, "tickets/get", "inv-1", token=token)


async def refused(source: OAuth, secret: Keys, purpose: Purpose = CALL, match: str = ".") -> str:
    with pytest.raises(Unavailable, match=match) as caught:
        await source.issue(secret, DEFAULT, purpose)
    assert caught.value.__cause__ is None
    return str(caught.value)


async def test_a_token_lives_from_issue_to_revocation(server: Server, source: OAuth) -> None:
    before = datetime.now(UTC)
    issued = await source.issue(PLAIN, frozenset({None, "access_token", "token_type"}), CALL)
    token = issued.values[None]
    assert issued.values == {None: token, "access_token": token, "token_type": "Bearer"}
    assert [*server.alive] == [token]
    assert server.asked == [{"grant_type": "client_credentials", "scope": "read"}]
    assert issued.expires is not None
    assert timedelta(seconds=300) <= issued.expires - before < timedelta(seconds=310)
    assert issued.revocation is not None
    await source.revoke(issued.revocation, orphaned=False)
    assert not server.alive
    # Over already: also another process may ask.
    await source.revoke(issued.revocation, orphaned=True)
    assert str(token) not in repr(issued)
    assert PASSWORD not in repr(source) + repr(Where(token_url="https://x", client_id="x", client_secret=PASSWORD))


async def test_a_token_that_is_over_is_not_revoked(server: Server) -> None:
    now = datetime.now(UTC)
    block = Where(token_url=f"{server.url}/token", revocation_url=server.url, client_id=CLIENT, client_secret=PASSWORD)
    source = OAuth("idp", block, Around({}, lambda: now, os.urandom, lambda: "id"))
    issued = await source.issue(PLAIN, DEFAULT, CALL)
    assert issued.revocation is not None
    with pytest.raises(Unavailable, match="answered 404"):
        await source.revoke(issued.revocation, orphaned=True)
    now += timedelta(seconds=300)
    await source.revoke(issued.revocation, orphaned=True)
    await source.close()


async def test_without_revocation_there_is_nothing_to_revoke(server: Server) -> None:
    source = made(server, revocation_url=None)
    issued = await source.issue(PLAIN, DEFAULT, CALL)
    assert issued.expires is not None
    assert issued.revocation is None
    with pytest.raises(Unavailable, match="no `revocation_url`"):
        await source.revoke({"token": "x"}, orphaned=True)
    await source.close()


@pytest.mark.parametrize(
    ("expires_in", "ttl", "seconds"), [("60", None, 60), (0.5, None, 0.5), (None, 90.0, 90), (None, None, None)]
)
async def test_when_it_ends(
    server: Server, source: OAuth, expires_in: object, ttl: float | None, seconds: float | None
) -> None:
    server.changes = {"expires_in": expires_in}
    before = datetime.now(UTC)
    issued = await source.issue(PLAIN, DEFAULT, Purpose("lease-1", "alice", ttl=ttl))
    if seconds is None:
        assert issued.expires is None
    else:
        assert issued.expires is not None
        assert 0 <= (issued.expires - before).total_seconds() - seconds < 5


@pytest.mark.parametrize("key", [rsa(), ec(), ed()], ids=["RS256", "ES256", "EdDSA"])
async def test_a_client_proves_itself_with_a_key(server: Server, tmp_path: Path, key: AnyKey) -> None:
    server.client_key = key
    path = put(tmp_path / "client.pem", key.as_pem(private=True))
    source = made(server, private_key=str(path))
    for _ in range(2):
        issued = await source.issue(PLAIN, DEFAULT, CALL)
        assert issued.revocation is not None
        await source.revoke(issued.revocation, orphaned=False)
    # Each request has its own, none was taken twice.
    assert (len(server.seen), server.alive, server.made) == (4, {}, 2)
    # Another key, from the next request on
    put(path, ec().as_pem(private=True))
    assert "invalid_client; see `client_id`" in await refused(source, PLAIN)
    await source.close()


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (b"no key", 0o600, "no private key in PEM"),
        (ec("P-384").as_pem(private=True), 0o600, "P-256"),
        (rsa(1024).as_pem(private=True), 0o600, "2048 bits"),
        (ec().as_pem(private=False), 0o600, "no private key"),
        (ec().as_pem(private=True, password="x"), 0o600, "without a password"),
        (ec().as_pem(private=True), 0o644, "chmod 600"),
    ],
)
async def test_a_key_that_does_not_do(server: Server, tmp_path: Path, content: bytes, mode: int, why: str) -> None:
    source = made(server, private_key=str(put(tmp_path / "client.pem", content, mode)))
    await refused(source, PLAIN, match=why)
    assert not server.asked
    await source.close()


async def test_the_callers_token_is_exchanged_for_a_narrower_one(server: Server, source: OAuth) -> None:
    token = server.person()
    issued = await source.issue(EXCHANGED, DEFAULT, caller(token))
    assert server.asked == [
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "resource": "https://tickets.test/mcp",
            "audience": "tickets",
            "scope": "read",
        }
    ]
    about = server.alive[str(issued.values[None])]
    assert (about["sub"], about["scope"]) == ("alice", "read")
    assert issued.revocation is not None
    assert token not in str(issued.revocation)
    await source.revoke(issued.revocation, orphaned=False)
    assert not server.alive


async def test_who_has_shown_no_token_gets_none(server: Server, source: OAuth) -> None:
    await refused(
        source, EXCHANGED, caller(None), "exchanged for the caller's own access token, and this caller has shown none"
    )
    assert not server.asked


@pytest.mark.parametrize("members", [{"aud": "https://other.test"}, {"exp": 1}, {"iss": "https://other.test"}])
async def test_a_token_that_the_server_does_not_take(server: Server, source: OAuth, members: Mapping[str, Any]) -> None:
    token = server.person(**members)
    said = await refused(source, EXCHANGED, caller(token), "answered 400 invalid_grant")
    assert token not in said
    assert token[-20:] not in said


@pytest.mark.parametrize(
    ("secret", "changes", "why"),
    [
        (EXCHANGED, {"scope": "read write"}, "more scopes"),
        (EXCHANGED, {"scope": ["read"]}, "`scope` is no text"),
        (EXCHANGED, {"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "no access token"),
        (PLAIN, {"token_type": "DPoP"}, "no Bearer token"),
        (PLAIN, {"token_type": None}, "of which type"),
        (PLAIN, {"expires_in": 0}, "over already"),
        (PLAIN, {"expires_in": "soon"}, "over already"),
        (PLAIN, {"expires_in": True}, "over already"),
    ],
)
async def test_a_token_that_was_not_asked_for_is_ended(
    server: Server, source: OAuth, secret: Keys, changes: dict[str, Any], why: str
) -> None:
    server.changes = {"refresh_token": "opaque-refresh-token", **changes}
    said = await refused(source, secret, caller(server.person()), why)
    assert "It was revoked" in said
    assert (server.made, server.alive) == (1, {})


async def test_a_token_that_cannot_be_given_back_is_not_used_either(server: Server) -> None:
    source = made(server, revocation_url=None)
    server.changes = {"scope": "read write"}
    assert "could not be revoked" in await refused(source, EXCHANGED, caller(server.person()))
    await source.close()


async def test_a_refresh_token_is_ended_with_the_other(server: Server, source: OAuth) -> None:
    server.changes = {"refresh_token": "opaque-refresh-token"}
    issued = await source.issue(PLAIN, DEFAULT, CALL)
    assert len(server.alive) == 2
    assert issued.revocation is not None
    await source.revoke(issued.revocation, orphaned=True)
    assert not server.alive


async def test_another_type_goes_where_it_is_named(server: Server, source: OAuth) -> None:
    server.changes = {"token_type": "DPoP"}
    issued = await source.issue(PLAIN, frozenset({"access_token", "token_type"}), CALL)
    assert issued.values["token_type"] == "DPoP"
    with pytest.raises(Unavailable, match="no field id_token"):
        await source.issue(PLAIN, frozenset({"id_token"}), CALL)


LEAK = "opaque-access-token-in-an-error"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (JSONResponse({"error": "invalid_scope", "error_description": LEAK}, 400), "400 invalid_scope; see `scopes`"),
        (JSONResponse({"error": LEAK}, 400), "answered 400; see its own log"),
        (JSONResponse({"error": [LEAK]}, 401), "answered 401; see its own log"),
        (Response(LEAK, 503), "answered 503; try again later"),
        (JSONResponse({"error": LEAK}, 429), "answered 429; try again later"),
        (RedirectResponse(f"/token?{LEAK}", 307), "answered 307"),
        (Response(LEAK), "no JSON object"),
        (Response(f'{{"access_token": "{LEAK}", "access_token": 1}}'), "no JSON object"),
        (JSONResponse({"access_token": [LEAK]}), "without a token"),
        (JSONResponse({"access_token": f"{LEAK}\r\nX: y"}), "without a token"),
        (Response(b" " * (1024 * 1024 + 1)), "longer than 1 MiB"),
    ],
)
async def test_what_a_server_says_is_not_repeated(server: Server, source: OAuth, answer: Response, why: str) -> None:
    server.fails = answer
    said = await refused(source, PLAIN, match=why)
    assert LEAK not in said
    assert PASSWORD not in said
    assert len(server.asked) == 1


async def test_a_server_that_is_slow_or_down(
    server: Server, source: OAuth, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    down = made(server, token_url=f"http://127.0.0.1:{unused_tcp_port}/token")
    await refused(down, PLAIN, match=r"could not be asked \(ConnectError\)")
    await down.close()
    monkeypatch.setattr(oauth_client, "SECONDS", 0.2)
    server.silent = True
    await refused(source, PLAIN, match=r"did not answer within 0\.2 s")


async def test_a_revocation_that_fails_is_told_and_tried_again(server: Server, source: OAuth) -> None:
    issued = await source.issue(PLAIN, DEFAULT, CALL)
    assert issued.revocation is not None
    server.fails = JSONResponse({"error": "unsupported_token_type", "error_description": LEAK}, 400)
    with pytest.raises(Unavailable, match="unsupported_token_type; it revokes no such tokens"):
        await source.revoke(issued.revocation, orphaned=False)
    server.fails = None
    await source.revoke(issued.revocation, orphaned=False)
    assert not server.alive


async def test_what_a_call_fills_in_stays_where_it_stands(server: Server, source: OAuth) -> None:
    secret = Keys(
        grant="client_credentials",
        scopes=("read", "user:{identity}", "n{claims.n}"),
        audience="t&a={claims.team}",
        resource="https://tickets.test/{claims.team}/{tool}",
    )
    await refused(source, secret, match="invalid_target; see `resource`")
    assert server.asked == [
        {
            "grant_type": "client_credentials",
            "resource": "https://tickets.test/a%20b/tickets%2Fget",
            "audience": "t&a=a b",
            "scope": "read user:alice n7",
        }
    ]
    for wrong in (
        {"scopes": ["x{claims.team}"]},
        {"resource": "https://tickets.test/{claims.up}/x"},
        {"audience": "{claims.none}"},
    ):
        await refused(source, Keys.model_validate({"grant": "client_credentials", **wrong}))
    assert len(server.asked) == 1
