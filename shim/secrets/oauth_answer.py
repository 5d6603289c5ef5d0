"""What a token endpoint answers, read: the token, how long it holds, and what nobody asked for."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import Final

from shim.model import Json, JsonObject

EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
_GIVEN_AS: Final = (ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt")

TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_LONGEST: Final = 10 * 365 * 86400.0


def wrong_in(made: JsonObject, form: dict[str, str], fields: frozenset[str | None]) -> str | None:
    """What a token is that nobody asked for; None: it is as it should be."""
    kind = made.get("token_type")
    if not isinstance(kind, str) or not TOKEN.fullmatch(kind):
        return "it does not say of which type it is"
    if kind.lower() != "bearer" and "token_type" not in fields:
        return "it is no Bearer token; where the upstream takes it, write its type too: ${secret:NAME.token_type}"
    seconds = made.get("expires_in")
    if seconds is not None and not seconds_of(seconds) > 0:
        return "it is over already, or its `expires_in` is no number"
    if form["grant_type"] != EXCHANGE:
        return None
    if made.get("issued_token_type", ACCESS_TOKEN) not in _GIVEN_AS:
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


def token_in(value: Json) -> str | None:
    return value if isinstance(value, str) and TOKEN.fullmatch(value) else None


def end_of(value: Json, before: datetime, ttl: float | None) -> datetime | None:
    seconds = ttl if value is None else seconds_of(value)
    return None if seconds is None else before + timedelta(seconds=min(seconds, _LONGEST))


def seconds_of(value: Json) -> float:
    """A number, also where a server writes it as a text; NaN is what is none."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value, re.ASCII):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        return math.nan
    return float(value)
