"""One signed JWT as it was sent, read in exactly one way (RFC 7515, compact serialization; RFC 8725).

Nothing here is believed yet: what the header says chooses no key and no algorithm that the configuration does not
already allow.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from shim import jsontext
from shim.errors import InvalidText, Unauthenticated
from shim.model import Json, JsonObject

MAX_TOKEN: Final = 16 * 1024
MAX_KID: Final = 512
JWT_ID: Final = "jwt:"
"""What the id of a credential begins with that is a JWT; no token of the configuration has such an id."""

_PARTS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")
_TYPES: Final = frozenset({"at+jwt", "jwt"})


@dataclass(frozen=True, slots=True)
class Compact:
    """A token in its parts. `typ` is in lower case and without `application/`; None: the header has none."""

    algorithm: str
    kid: str | None
    typ: str | None
    claims: JsonObject
    signed: bytes
    signature: bytes


def looks_like(token: str) -> bool:
    """Whether a bearer is meant to be a JWT: an API token has no dots."""
    return token.count(".") == 2


def read(token: str) -> Compact:
    """The parts of a token, each canonical base64url, header and claims strict JSON.

    `jwk`, `jku`, `x5u` and `x5c` of the header are not even looked at: a token does not bring its own key. Raises
    Unauthenticated.
    """
    if len(token) > MAX_TOKEN:
        raise Unauthenticated("a JWT longer than 16 KiB")
    match = _PARTS.fullmatch(token)
    if match is None:
        raise Unauthenticated("a JWT that is not three parts of base64url")
    header = _object(match[1], "header")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str):
        raise Unauthenticated("a JWT without an algorithm")
    if "crit" in header:
        raise Unauthenticated("a JWT with a critical header that is not understood")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID):
        raise Unauthenticated("a JWT whose key id is no short text")
    claims = _object(match[2], "payload")
    signed = token[: match.end(2)].encode("ascii")
    return Compact(algorithm, kid, _type(typ), claims, signed, _decoded(match[3], "signature"))


def _type(typ: Json) -> str | None:
    if typ is None:
        return None
    # RFC 7515, section 4.1.9: a media type, without regard to case, `application/` left out or not.
    name = typ.lower().removeprefix("application/") if isinstance(typ, str) else ""
    if name not in _TYPES:
        raise Unauthenticated("a JWT of a type that is no access token's")
    return name


def _object(part: str, what: str) -> JsonObject:
    try:
        return jsontext.parse_object(_decoded(part, what))
    except InvalidText:
        raise Unauthenticated(f"a JWT whose {what} is not strict JSON") from None


def _decoded(part: str, what: str) -> bytes:
    if len(part) % 4 == 1:
        raise Unauthenticated(f"a JWT whose {what} is not base64url")
    value = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    # The last character has bits to spare: of the texts that decode to the same bytes one is taken.
    if urlsafe_b64encode(value).rstrip(b"=").decode("ascii") != part:
        raise Unauthenticated(f"a JWT whose {what} is not canonical base64url")
    return value
