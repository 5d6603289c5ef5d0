"""What a JWT claims, and whether that makes it an access token for this server, now (RFC 7519, RFC 9068, RFC 8725)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from shim import jsontext
from shim.errors import Unauthenticated
from shim.identity.compact import JWT_ID, Compact
from shim.model import Json, JsonObject

LEEWAY: Final = 60.0
"""Seconds by which the clocks of issuer and server may differ."""

_LATEST: Final = 253_402_300_799
"""The last second of the year 9999: a later time is no time."""

_OF_AN_ID_TOKEN: Final = frozenset({"nonce", "at_hash", "c_hash", "s_hash"})
_OF_NO_ACCESS_TOKEN: Final = frozenset({"id", "refresh", "logout"})
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
_LONGEST: Final = 128


@dataclass(frozen=True, slots=True)
class Terms:
    """What is demanded of every token: exactly this issuer, and this audience among its own."""

    issuer: str
    audience: str


def check(token: Compact, terms: Terms, now: float) -> float:
    """Until when the token holds, in seconds since the epoch, leeway included. Raises Unauthenticated.

    `exp` is required; `iat` and `nbf` count where they are there. A token that is bound to a key of its sender (`cnf`)
    is refused, as that proof is not asked for; so is one that is made for a client to read (an ID token).
    """
    claims = token.claims
    if claims.get("iss") != terms.issuer:
        raise Unauthenticated("a JWT of another issuer")
    if not _is_for(claims.get("aud"), terms.audience):
        raise Unauthenticated("a JWT for another audience")
    if not isinstance(claims.get("sub"), str | None) or not isinstance(claims.get("jti"), str | None):
        raise Unauthenticated("a JWT whose subject or id is no text")
    if "cnf" in claims:
        raise Unauthenticated("a JWT that is bound to a key of its sender")
    _check_kind(token)
    ends = _time(claims, "exp")
    if ends is None:
        raise Unauthenticated("a JWT that never expires")
    if now >= ends + LEEWAY:
        raise Unauthenticated("a JWT that has expired")
    begins, made = _time(claims, "nbf"), _time(claims, "iat")
    if begins is not None and now < begins - LEEWAY:
        raise Unauthenticated("a JWT that does not hold yet")
    if made is not None and now < made - LEEWAY:
        raise Unauthenticated("a JWT that was issued in the future")
    return ends + LEEWAY


def scopes_of(claims: JsonObject) -> frozenset[str]:
    """The scopes that a token carries: `scope` (RFC 8693, section 4.2), else `scp`, a text or a list of texts.

    Raises Unauthenticated where they are something else.
    """
    value = claims.get("scope", claims.get("scp"))
    if value is None:
        return frozenset()
    names = value.split(" ") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Unauthenticated("a JWT whose scopes are no texts")
    found = frozenset(name for name in names if name)
    if not all(_SCOPE.fullmatch(name) for name in found):
        raise Unauthenticated("a JWT whose scopes cannot be scopes")
    return found


def credential_id(claims: JsonObject) -> str:
    """What the record calls a token: issuer, subject and the token's own id, as JSON, each of them bounded."""
    named = {name: _bounded(claims.get(name)) for name in ("iss", "sub", "jti")}
    return JWT_ID + jsontext.dump(named).decode()


def _bounded(value: str | None) -> str | None:
    if value is None or len(value) <= _LONGEST:
        return value
    return f"{value[:_LONGEST]}…{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _is_for(audience: Json, wanted: str) -> bool:
    if isinstance(audience, list):
        return all(isinstance(one, str) for one in audience) and wanted in audience
    return isinstance(audience, str) and audience == wanted


def _check_kind(token: Compact) -> None:
    claims = token.claims
    kinds = {str(claims.get("typ", "")).lower(), str(claims.get("token_use", "")).lower()}
    if kinds & _OF_NO_ACCESS_TOKEN or "events" in claims:
        raise Unauthenticated("a JWT that is no access token")
    if token.typ != "at+jwt" and _OF_AN_ID_TOKEN & claims.keys():
        raise Unauthenticated("a JWT that is an ID token")


def _time(claims: JsonObject, name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise Unauthenticated(f"a JWT whose {name} is no time")
    return float(value)
