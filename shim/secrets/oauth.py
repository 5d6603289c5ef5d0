"""`type: oauth`: an access token of an authorization server, for the shim itself or on behalf of the caller.

Client credentials: RFC 6749 section 4.4. Token exchange: RFC 8693, with the resources of RFC 8707. What a person
allows: `shim.secrets.consents`.
"""

from __future__ import annotations

import asyncio
import math
import re
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from shim.model import JsonObject
from shim.secrets.consents import Consents
from shim.secrets.filling import filled
from shim.secrets.oauth_answer import ACCESS_TOKEN, EXCHANGE, TOKEN, end_of, token_in, wrong_in
from shim.secrets.oauth_client import OAuthClient, Prover
from shim.secrets.sealkeys import KeyText
from shim.secrets.source import PATH, Around, Issued, Purpose, Unavailable
from shim.store.tx import GivenRow
from shim.units import Block
from shim.urls import is_safe

_PLACE = re.compile(r"\{(?:identity|tool|invocation|claims\.[^{}]+)\}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Keys(Block):
    """What such a secret is asked for by."""

    grant: Literal["client_credentials", "token_exchange", "authorization_code"] | None = None
    scopes: Annotated[tuple[_Text, ...], Field(min_length=1, max_length=100)] | None = None
    audience: _Text | None = None
    resource: _Text | None = None

    @field_validator("scopes")
    @classmethod
    def _each_is_one(cls, scopes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for scope in scopes or ():
            if not _SCOPE.fullmatch(_PLACE.sub("x", scope)):
                raise ValueError(f"{scope[:60]!r} is no scope; write each as an element of its own, in ASCII")
        return scopes

    @field_validator("resource")
    @classmethod
    def _absolute(cls, resource: str | None) -> str | None:
        if resource is not None and not _is_resource(_PLACE.sub("x", resource)):
            raise ValueError("`resource` is no absolute URI without a fragment; write the address of what it is for")
        return resource

    @model_validator(mode="after")
    def _of_a_call(self) -> Keys:
        if any("{arguments." in text for text in (*(self.scopes or ()), self.audience or "", self.resource or "")):
            raise ValueError("{arguments.NAME} is not supported here; write what the token is for")
        return self

    @model_validator(mode="after")
    def _of_each_person(self) -> Keys:
        texts = (*(self.scopes or ()), self.audience or "", self.resource or "")
        if self.grant == "authorization_code" and any(_PLACE.search(text) for text in texts):
            raise ValueError("`grant` authorization_code asks the same of each person, who allows it; take {…} out")
        return self


class Where(Block):
    """The authorization server, and how the shim proves itself there: a secret, or a key in a file."""

    token_url: str
    client_id: Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,500}$")]
    client_secret: Annotated[str | None, Field(repr=False, min_length=1, max_length=4096)] = None
    private_key: Annotated[str | None, Field(min_length=1), PATH] = None
    revocation_url: str | None = None
    authorization_url: str | None = None
    issuer: Annotated[str | None, Field(min_length=1, max_length=2000)] = None
    key: KeyText | None = None

    @field_validator("authorization_url")
    @classmethod
    def _safe_for_people(cls, url: str | None) -> str | None:
        # The only one that may have a query (RFC 6749 section 3.1).
        if url is not None and ("#" in url or not is_safe(url.partition("?")[0])):
            raise ValueError("it is neither https nor on this machine (without user and fragment); use https")
        if url is not None and not TOKEN.fullmatch(url):
            raise ValueError("it is no address in ASCII; write that of the page where people sign in")
        return url

    @field_validator("token_url", "revocation_url")
    @classmethod
    def _safe(cls, url: str | None) -> str | None:
        if url is not None and not is_safe(url):
            raise ValueError("it is neither https nor on this machine (without user, query and fragment); use https")
        return url

    @model_validator(mode="after")
    def _one_proof(self) -> Where:
        if (self.client_secret is None) == (self.private_key is None):
            raise ValueError("a source of type oauth has either `client_secret` or `private_key`; write one of them")
        return self

    @model_validator(mode="after")
    def _people_as_a_whole(self) -> Where:
        if (self.authorization_url is None) != (self.key is None):
            raise ValueError(
                "`authorization_url` and `key` come together: where people sign in, and what seals the rest"
            )
        if self.issuer is not None and self.authorization_url is None:
            raise ValueError("`issuer` is who sends people back from `authorization_url`; there is none, take it out")
        return self


def misfit(secret: Keys, where: Where | None) -> str | None:
    """What is wrong with a secret at this source, the key first."""
    if secret.grant == "authorization_code" and getattr(where, "authorization_url", None) is None:
        return "`grant` authorization_code is for a source that has `authorization_url` and `key`, which this has not"
    return None


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


def _is_resource(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return bool(parts.scheme) and "#" not in uri and bool(TOKEN.fullmatch(uri))


def _segment(value: str) -> str:
    if value in ("", ".", "..") or _CONTROL.search(value):
        raise Unavailable("its `resource` would be filled with what is no part of an address")
    return quote(value, safe="")


def _plain(value: str) -> str:
    if not value or _CONTROL.search(value):
        raise Unavailable("its `audience` would be filled with what is empty or holds control characters")
    return value


def _scope(value: str) -> str:
    if not _SCOPE.fullmatch(value):
        raise Unavailable("its `scopes` would be filled with what is no scope, or more than one")
    return value
