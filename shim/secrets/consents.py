"""`grant: authorization_code`: a person allows the shim to act for them at an authorization server, and it does.

Source: RFC 6749 section 4.1 and 6, RFC 7636 (PKCE, S256 alone), RFC 8707 (resource), RFC 9207 (iss).
"""

from __future__ import annotations

import asyncio
import math
from base64 import urlsafe_b64encode
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Final
from urllib.parse import urlencode, urlsplit
from weakref import WeakValueDictionary

from shim.errors import Unfit
from shim.model import JsonObject
from shim.secrets.chest import Chest, Kept
from shim.secrets.oauth_answer import end_of, token_in, wrong_in
from shim.secrets.oauth_blocks import Keys, Where
from shim.secrets.oauth_client import OAuthClient, Refused
from shim.secrets.source import PATIENCE, Around, Issued, Purpose, Unavailable, Wanted
from shim.store.tx import GivenRow

_EARLY: Final = 60.0
"""Seconds before its end at which an access token is refreshed; half its life, where that is less."""
_LOOK: Final = 0.1


def challenge(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636 section 4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).decode("ascii").rstrip("=")


class Consents:
    """What people allowed at one server: kept sealed, and refreshed by one at a time over all processes."""

    def __init__(self, name: str, where: Where, client: OAuthClient, around: Around) -> None:
        self._where = where
        self._client = client
        self._clock = around.clock
        self._chest = Chest(name, where.key or "", around)
        self._turns: WeakValueDictionary[tuple[str | None, str], asyncio.Lock] = WeakValueDictionary()

    def url(self, secret: Keys, back: str, state: str, code_challenge: str) -> str:
        """Where a person goes to allow it."""
        asked = {
            "response_type": "code",
            "client_id": self._where.client_id,
            "redirect_uri": back,
            "state": state,
            "code_challenge": code_challenge,
            "code_challenge_method": "S256",
            **_about(secret),
        }
        if secret.scopes is not None:
            asked["scope"] = " ".join(secret.scopes)
        url = self._where.authorization_url or ""
        return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"

    def check_issuer(self, iss: str | None) -> None:
        """Whether it is this server that sent somebody back (RFC 9207). Raises Unfit.

        Without `issuer` in the configuration, what says who it is has to be where people are sent.
        """
        issuer = self._where.issuer
        if issuer is not None:
            is_right = iss == issuer
        else:
            is_right = iss is None or _origin(iss) == _origin(self._where.authorization_url or "")
        if not is_right:
            raise Unfit("Another server sent you back than the one that you went to, so nothing was kept.")

    async def redeem(self, secret: Keys, identity: str, name: str, back: str, code: str, verifier: str) -> None:
        """Have what a person allowed. Raises Unavailable and RecordUnavailable."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "code_verifier": verifier,
            **_about(secret),
        }
        content, expires = await self._asked(form)
        try:
            await self._chest.put(identity, name, content, expires)
        except BaseException:
            await self._given_back(content)
            raise

    async def issue(self, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        """What a person allowed, refreshed where it is nearly over. Raises Wanted where there is nothing."""
        kept = await self._had(purpose)
        if self._is_fresh(kept):
            return self._issued(kept, fields)
        key = (purpose.identity, purpose.secret)
        async with self._turns.setdefault(key, asyncio.Lock()):
            while True:
                kept = await self._had(purpose)
                if self._is_fresh(kept):
                    return self._issued(kept, fields)
                if (claimed := await self._chest.claim(kept, PATIENCE)) is not None:
                    if (renewed := await self._refreshed(claimed)) is not None:
                        return self._issued(renewed, fields)
                elif not self._is_over(kept):
                    return self._issued(kept, fields)
                else:
                    # Another process is at it.
                    await asyncio.sleep(_LOOK)

    async def withdraw(self, row: GivenRow) -> None:
        """End what is deleted, where the server offers that (RFC 7009). Raises Unavailable."""
        kept = await self._chest.opened(row)
        if kept is not None:
            await self._revoke(kept.content)

    async def _had(self, purpose: Purpose) -> Kept:
        kept = await self._chest.get(purpose)
        if kept is None:
            raise Wanted("the person has not allowed it yet")
        if "refresh" not in kept.content and (self._is_over(kept) or "doubted" in kept.content):
            await self._chest.died(kept, "it is over, and the server gave nothing to refresh it with")
            raise Wanted("what the person allowed is over")
        return kept

    async def _refreshed(self, kept: Kept) -> Kept | None:
        """What came in its place; itself where it holds still, None where another took the place meanwhile."""
        form = {"grant_type": "refresh_token", "refresh_token": str(kept.content["refresh"])}
        form |= {name: kept.content[name] for name in ("resource",) if name in kept.content}
        try:
            content, expires = await self._asked(form)
        except Unavailable as error:
            if isinstance(error, Refused) and error.code == "invalid_grant":
                await self._chest.died(kept, "the server refreshes it no more (invalid_grant)")
                raise Wanted("what the person allowed is over") from None
            await self._chest.leave(kept)
            if self._is_over(kept):
                raise
            return kept
        # Without a new one in the answer, the old one stays (RFC 6749 section 6).
        content = {"refresh": kept.content["refresh"], **content}
        if "doubted" in kept.content:
            content["renewed"] = True
        renewed = await self._chest.refresh(kept, content, expires)
        if renewed is None:
            await self._given_back(content)
        return renewed

    async def _asked(self, form: dict[str, str]) -> tuple[JsonObject, datetime | None]:
        """What the server gives, as it is kept, and when it ends."""
        before = self._clock()
        made = await self._client.token(form)
        token = token_in(made.get("access_token"))
        if token is None:
            raise Unavailable("the server gave an answer without a token; see that `token_url` is its token endpoint")
        content: JsonObject = {"access": token, "type": made.get("token_type")}
        if refresh := token_in(made.get("refresh_token")):
            content["refresh"] = refresh
        if "resource" in form:
            content["resource"] = form["resource"]
        if (wrong := wrong_in(made, form, frozenset())) is not None:
            await self._given_back(content)
            raise Unavailable(f"the server gave another token than was asked for: {wrong}")
        expires = end_of(made.get("expires_in"), before, None)
        if expires is not None:
            content["until"] = expires.timestamp()
            content["early"] = min(_EARLY, (expires - before).total_seconds() / 2)
        return content, expires

    def _issued(self, kept: Kept, fields: frozenset[str | None]) -> Issued:
        content = kept.content
        values = {field: str(content["type" if field == "token_type" else "access"]) for field in fields}
        until = content.get("until")
        expires = datetime.fromtimestamp(until, self._clock().tzinfo) if until is not None else None
        return Issued(values, expires, doubt=partial(self._doubted, kept))

    async def _doubted(self, kept: Kept) -> None:
        """It is refreshed before it is used again; what was just refreshed for that reason is of no use."""
        if "renewed" in kept.content or "refresh" not in kept.content:
            await self._chest.died(kept, "the upstream does not accept it")
        else:
            await self._chest.doubt(kept, {**kept.content, "doubted": True})

    def _is_fresh(self, kept: Kept) -> bool:
        left = kept.content.get("until", math.inf) - self._clock().timestamp()
        early = kept.content.get("early", 0.0) if "refresh" in kept.content else 0.0
        return "doubted" not in kept.content and bool(left > early)

    def _is_over(self, kept: Kept) -> bool:
        return "doubted" in kept.content or bool(kept.content.get("until", math.inf) <= self._clock().timestamp())

    async def _given_back(self, content: JsonObject) -> None:
        try:
            await self._revoke(content)
        except Unavailable:
            return

    async def _revoke(self, content: JsonObject) -> None:
        url = self._where.revocation_url
        if url is None:
            return
        if "refresh" in content:
            await self._client.revoke(url, str(content["refresh"]), "refresh_token")
        await self._client.revoke(url, str(content["access"]), "access_token")


def _about(secret: Keys) -> dict[str, str]:
    told = {"resource": secret.resource, "audience": secret.audience}
    return {name: value for name, value in told.items() if value is not None}


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc.lower()
