"""`type: oauth`: an access token of an authorization server, for the shim itself or on behalf of the caller.

Client credentials: RFC 6749 section 4.4. Token exchange: RFC 8693, with the resources of RFC 8707.
"""

from __future__ import annotations

import asyncio
import math
import re
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from shim.model import Json, JsonObject
from shim.secrets.filling import filled
from shim.secrets.oauth_client import OAuthClient, Prover
from shim.secrets.source import PATH, Around, Issued, Purpose, Unavailable
from shim.units import Block
from shim.urls import is_safe

_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
_GIVEN_AS: Final = (_ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt")

_PLACE = re.compile(r"\{(?:identity|tool|invocation|claims\.[^{}]+)\}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST: Final = 10 * 365 * 86400.0

_Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Keys(Block):
    """What such a secret is asked for by."""

    grant: Literal["client_credentials", "token_exchange"] | None = None
    scopes: Annotated[tuple[_Text, ...], Field(min_length=1, max_length=100)] | None = None
    audience: _Text | None = None
    resource: _Text | None = None

    @field_validator("grant", mode="before")
    @classmethod
    def _built(cls, grant: object) -> object:
        if grant == "authorization_code":
            raise ValueError(
                "`grant` authorization_code is not supported by this version; there are client_credentials and "
                "token_exchange"
            )
        return grant

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


class Where(Block):
    """The authorization server, and how the shim proves itself there: a secret, or a key in a file."""

    token_url: str
    client_id: Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,500}$")]
    client_secret: Annotated[str | None, Field(repr=False, min_length=1, max_length=4096)] = None
    private_key: Annotated[str | None, Field(min_length=1), PATH] = None
    revocation_url: str | None = None

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


class OAuth:
    """One client of one server. A token is asked for anew for each lease, and revoked where the server offers that."""

    def __init__(self, name: str, where: Where, around: Around) -> None:  # noqa: ARG002 (see `Source`)
        self._clock = around.clock
        self._revocation_url = where.revocation_url
        prover = Prover(where.client_id, where.client_secret, where.private_key, where.token_url, around)
        self._client = OAuthClient(where.token_url, prover)

    async def prepare(self, secret: Keys, purpose: Purpose) -> JsonObject | None:  # noqa: ARG002 (see `Source`)
        """See `Source`. Only a token itself can end it; one whose answer was lost, nobody has."""
        return None

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        """See `Source`. A token that is wider than what was asked for is revoked, and refused."""
        if unknown := fields - {None, "access_token", "token_type"}:
            raise Unavailable(f"it has no field {min(str(one) for one in unknown)}; there are access_token, token_type")
        form = _form(secret, purpose)
        before = self._clock()
        made = await self._client.token(form)
        token = _token(made.get("access_token"))
        if token is None:
            raise Unavailable("the server gave an answer without a token; see that `token_url` is its token endpoint")
        revocation: JsonObject = {"token": token}
        # Longer-lived than what it came with, and nobody wants it.
        if refresh := _token(made.get("refresh_token")):
            revocation["refresh"] = refresh
        wrong = _wrong(made, form, fields)
        if wrong is not None:
            raise await self._given_back(revocation, wrong)
        values = {field: str(made["token_type"]) if field == "token_type" else token for field in fields}
        expires = _end(made.get("expires_in"), before, purpose.ttl)
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
            "grant_type": _EXCHANGE,
            "subject_token": purpose.token,
            "subject_token_type": _ACCESS_TOKEN,
            "requested_token_type": _ACCESS_TOKEN,
        }
    if secret.resource is not None:
        form["resource"] = filled(secret.resource, purpose, _segment)
    if secret.audience is not None:
        form["audience"] = filled(secret.audience, purpose, _plain)
    if secret.scopes is not None:
        form["scope"] = " ".join(filled(scope, purpose, _scope) for scope in secret.scopes)
    return form


def _wrong(made: JsonObject, form: dict[str, str], fields: frozenset[str | None]) -> str | None:
    """What a token is that nobody asked for; None: it is as it should be."""
    kind = made.get("token_type")
    if not isinstance(kind, str) or not _TOKEN.fullmatch(kind):
        return "it does not say of which type it is"
    if kind.lower() != "bearer" and "token_type" not in fields:
        return "it is no Bearer token; where the upstream takes it, write its type too: ${secret:NAME.token_type}"
    seconds = made.get("expires_in")
    if seconds is not None and not _seconds(seconds) > 0:
        return "it is over already, or its `expires_in` is no number"
    if form["grant_type"] != _EXCHANGE:
        return None
    if made.get("issued_token_type", _ACCESS_TOKEN) not in _GIVEN_AS:
        return "it is no access token"
    scope = made.get("scope")
    if scope is None or "scope" not in form:
        # Without it in the answer, it is what was asked for (RFC 6749 section 5.1).
        return None
    if not isinstance(scope, str):
        return "its `scope` is no text"
    if set(scope.split()) - set(form["scope"].split()):
        return "it has more scopes; have the server grant fewer, or name those that may be there under `scopes`"
    return None


def _token(value: Json) -> str | None:
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _end(value: Json, before: datetime, ttl: float | None) -> datetime | None:
    seconds = ttl if value is None else _seconds(value)
    return None if seconds is None else before + timedelta(seconds=min(seconds, _LONGEST))


def _seconds(value: Json) -> float:
    """A number, also where a server writes it as a text; NaN is what is none."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value, re.ASCII):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        return math.nan
    return float(value)


def _is_resource(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return bool(parts.scheme) and "#" not in uri and bool(_TOKEN.fullmatch(uri))


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
