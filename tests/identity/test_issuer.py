"""Where the keys of an issuer are looked for, and what of its answers is not believed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shim.identity import fetching
from shim.identity.fetching import Fetcher, KeysUnavailable
from shim.identity.issuer import Issuer as Source
from shim.identity.issuer import metadata_urls
from shim.identity.keys import MAX_KEYS
from shim.model import JsonObject
from tests.identity.issuer import Issuer, ec, issuing, public


def test_metadata_is_looked_for_where_clients_look() -> None:
    assert metadata_urls("https://idp.test/") == (
        "https://idp.test/.well-known/oauth-authorization-server",
        "https://idp.test/.well-known/openid-configuration",
    )
    assert metadata_urls("https://idp.test:8443/realms/x") == (
        "https://idp.test:8443/.well-known/oauth-authorization-server/realms/x",
        "https://idp.test:8443/.well-known/openid-configuration/realms/x",
        "https://idp.test:8443/realms/x/.well-known/openid-configuration",
    )


async def test_the_keys_are_where_the_metadata_says_or_the_configuration() -> None:
    async with issuing() as issuer:
        source = Source(issuer.url, None, Fetcher())
        for _ in range(3):
            assert [key.kid for key in await source.keys()] == [issuer.keys[0][1].kid]
        assert issuer.asked == {"/.well-known/oauth-authorization-server": 1, "/keys": 3}
        assert await Source("https://idp.test", f"{issuer.url}/keys", Fetcher()).keys()


WRONG: dict[str, tuple[JsonObject, str]] = {
    "another issuer's": ({"issuer": "https://honest.test"}, "is the metadata of another issuer"),
    "the issuer with a slash": ({"issuer": "SLASH"}, "is the metadata of another issuer"),
    "keys elsewhere": ({"jwks_uri": "https://evil.test/keys"}, "no keys on the issuer's own host; write `jwks_url`"),
    "keys on another port": ({"jwks_uri": "http://127.0.0.1:1/keys"}, "no keys on the issuer's own host"),
    "keys in a file": ({"jwks_uri": "file:///etc/passwd"}, "no keys on the issuer's own host"),
    "no keys": ({"jwks_uri": None}, "no keys on the issuer's own host"),
    "keys that are no text": ({"jwks_uri": ["x"]}, "no keys on the issuer's own host"),
}


@pytest.mark.parametrize(("metadata", "why"), WRONG.values(), ids=WRONG.keys())
async def test_metadata_that_is_not_believed(metadata: JsonObject, why: str) -> None:
    async with issuing() as issuer:
        issuer.metadata = {name: issuer.url + "/" if value == "SLASH" else value for name, value in metadata.items()}
        with pytest.raises(KeysUnavailable, match=why):
            await Source(issuer.url, None, Fetcher()).keys()
        assert issuer.asked["/keys"] == 0


def _redirecting(issuer: Issuer) -> str:
    return f"{issuer.url}/authorize?code_challenge_method=S256&state=x&redirect_uri={issuer.url}/keys"


UNREADABLE: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "another status": (lambda issuer: f"{issuer.url}/nowhere", "answered 404"),
    "a redirect": (_redirecting, "answered 302"),
    "no JWK set": (lambda issuer: f"{issuer.url}/.well-known/oauth-authorization-server", "is no JWK set"),
    "nobody there": (lambda issuer: "http://127.0.0.1:1/keys", "could not be reached"),
    "in the clear": (lambda issuer: "http://idp.test/keys", "neither https nor on this machine"),
    "no URL": (lambda issuer: "http://[::1/keys", "neither https nor on this machine"),
}


@pytest.mark.parametrize(("url", "why"), UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_is_no_answer(url: Callable[[Issuer], str], why: str) -> None:
    async with issuing() as issuer:
        with pytest.raises(KeysUnavailable, match=why):
            await Source(issuer.url, url(issuer), Fetcher()).keys()
        assert issuer.asked["/keys"] == 0


async def test_an_answer_is_bounded() -> None:
    async with issuing() as issuer:
        issuer.published = [public(ec(), x_note="n" * fetching.MAX_DOCUMENT)]
        with pytest.raises(KeysUnavailable, match="is longer than"):
            await Source(issuer.url, None, Fetcher()).keys()
        issuer.published = [{"kty": "EC"}] * (MAX_KEYS + 1)
        with pytest.raises(KeysUnavailable, match="at most"):
            await Source(issuer.url, None, Fetcher()).keys()


async def test_keys_that_moved_are_found_again() -> None:
    async with issuing() as issuer:
        source = Source(issuer.url, None, Fetcher())
        await source.keys()
        issuer.down = True
        with pytest.raises(KeysUnavailable, match="answered 503"):
            await source.keys()
        issuer.down = False
        assert await source.keys()
        assert issuer.asked["/.well-known/oauth-authorization-server"] == 2
