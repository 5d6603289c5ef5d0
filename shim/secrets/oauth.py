"""`type: oauth`: an access token of an authorization server, for the shim itself or on behalf of the caller.

Client credentials: RFC 6749 section 4.4. Token exchange: RFC 8693, with the resources of RFC 8707. What a person
allows: `shim.secrets.consents`.
"""

from __future__ import annotations

import asyncio
import math
import re
from urllib.parse import quote, urlsplit

from shim.model import JsonObject
from shim.secrets.consents import Consents
from shim.secrets.filling import filled
from shim.secrets.oauth_answer import ACCESS_TOKEN, EXCHANGE, end_of, token_in, wrong_in
from shim.secrets.oauth_blocks import SCOPE, Keys, Where
from shim.secrets.oauth_client import OAuthClient, Prover
from shim.secrets.source import Around, Issued, Purpose, Unavailable
from shim.store.tx import GivenRow

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class OAuth:
    """One client of one server. A token is asked for anew for each lease, and revoked where the server offers that;
    but what people allowed is kept.
    """

    def __init__(self, name: str, where: Where, around: Around) -> None:
        self._clock = around.clock
        self._revocation_url = where.revocation_url
        prover = Prover(where.client_id, where.client_secret, where.private_key, where.token_url, around)
        self._client = OAuthClient(where.token_url, prover)
        self.consents = Consents(name, where, self._client, around)
        self.consent_host = urlsplit(where.authorization_url or "").netloc

    async def prepare(self, secret: Keys, purpose: Purpose) -> JsonObject | None:  # noqa: ARG002 (see `Source`)
        """See `Source`. Only a token itself can end it; one whose answer was lost, nobody has."""
        return None

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        """See `Source`. A token that is wider than what was asked for is revoked, and refused."""
        if unknown := fields - {None, "access_token", "token_type"}:
            raise Unavailable(f"it has no field {min(str(one) for one in unknown)}; there are access_token, token_type")
        if secret.grant == "authorization_code":
            return await self.consents.issue(fields, purpose)
        form = _form(secret, purpose)
        before = self._clock()
        made = await self._client.token(form)
        token = token_in(made.get("access_token"))
        if token is None:
            raise Unavailable("the server gave an answer without a token; see that `token_url` is its token endpoint")
        revocation: JsonObject = {"token": token}
        # Longer-lived than what it came with, and nobody wants it.
        if refresh := token_in(made.get("refresh_token")):
            revocation["refresh"] = refresh
        wrong = wrong_in(made, form, fields)
        if wrong is not None:
            raise await self._given_back(revocation, wrong)
        values = {field: str(made["token_type"]) if field == "token_type" else token for field in fields}
        expires = end_of(made.get("expires_in"), before, purpose.ttl)
        if self._revocation_url is None:
            return Issued(values, expires)
        if made.get("expires_in") is not None and expires is not None and "refresh" not in revocation:
            revocation["until"] = expires.timestamp()
        return Issued(values, expires, revocation)

    async def revoke(self, revocation: JsonObject, *, orphaned: bool) -> None:  # noqa: ARG002 (see `Source`)
        """See `Source`. To the server, a token that is over is as good as revoked (RFC 7009 section 2.2)."""
        if self._clock().timestamp() >= revocation.get("until", math.inf):
            return
        url = self._revocation_url
        if url is None:
            raise Unavailable("its source has no `revocation_url`; it ends by itself")
        # Each of them, also where the server does not take the other.
        ends = [
            self._client.revoke(url, str(revocation[member]), hint)
            for member, hint in (("token", "access_token"), ("refresh", "refresh_token"))
            if member in revocation
        ]
        for failure in await asyncio.gather(*ends, return_exceptions=True):
            if failure is not None:
                raise failure

    async def withdraw(self, row: GivenRow) -> None:
        """What a person allowed is deleted: end it. Raises Unavailable."""
        await self.consents.withdraw(row)

    async def close(self) -> None:
        """See `Source`."""
        await self._client.close()

    async def _given_back(self, revocation: JsonObject, wrong: str) -> Unavailable:
        try:
            await self.revoke(revocation, orphaned=False)
        except Unavailable:
            return Unavailable(f"the server gave another token than was asked for: {wrong}. It could not be revoked")
        return Unavailable(f"the server gave another token than was asked for: {wrong}. It was revoked")


def _form(secret: Keys, purpose: Purpose) -> dict[str, str]:
    """What a token is asked for with, but for who asks."""
    form = {"grant_type": "client_credentials"}
    if secret.grant == "token_exchange":
        if purpose.token is None:
            raise Unavailable(
                "it is exchanged for the caller's own access token, and this caller has shown none; "
                "it must come with an OAuth access token (`server.jwt`)"
            )
        form = {
            "grant_type": EXCHANGE,
            "subject_token": purpose.token,
            "subject_token_type": ACCESS_TOKEN,
            "requested_token_type": ACCESS_TOKEN,
        }
    if secret.resource is not None:
        form["resource"] = filled(secret.resource, purpose, _segment)
    if secret.audience is not None:
        form["audience"] = filled(secret.audience, purpose, _plain)
    if secret.scopes is not None:
        form["scope"] = " ".join(filled(scope, purpose, _scope) for scope in secret.scopes)
    return form


def _segment(value: str) -> str:
    if value in ("", ".", "..") or _CONTROL.search(value):
        raise Unavailable("its `resource` would be filled with what is no part of an address")
    return quote(value, safe="")


def _plain(value: str) -> str:
    if not value or _CONTROL.search(value):
        raise Unavailable("its `audience` would be filled with what is empty or holds control characters")
    return value


def _scope(value: str) -> str:
    if not SCOPE.fullmatch(value):
        raise Unavailable("its `scopes` would be filled with what is no scope, or more than one")
    return value
