"""Keys of an issuer (RFC 7517), and which of them may check which signature (RFC 7518, RFC 8037, RFC 8725)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

from shim.model import Json, JsonObject

_log = logging.getLogger("shim.identity")

MAX_KEYS: Final = 100
MAX_CANDIDATES: Final = 4
_RSA_BITS: Final = range(2048, 8193)
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})


@dataclass(frozen=True, slots=True)
class _Fit:
    """What a key must be for an algorithm. `curve` None: it has none."""

    kty: str
    curve: str | None


_RSA = _Fit("RSA", None)
FITS: Final[Mapping[str, _Fit]] = MappingProxyType(
    {
        **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), _RSA),
        "ES256": _Fit("EC", "P-256"),
        "ES384": _Fit("EC", "P-384"),
        "ES512": _Fit("EC", "P-521"),
        "EdDSA": _Fit("OKP", "Ed25519"),
    }
)
"""Every algorithm that can be allowed. All are asymmetric: what checks a token cannot make one."""

_ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in FITS
}


@dataclass(frozen=True, slots=True)
class Key:
    """One public key. `algorithm` is the only one that its issuer uses it with; None: the issuer does not say."""

    kid: str | None
    fit: _Fit
    algorithm: str | None
    material: Any

    def may_check(self, algorithm: str) -> bool:
        """Whether a signature of this algorithm can be this key's."""
        return self.fit == FITS[algorithm] and self.algorithm in (None, algorithm)

    def checks(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over `signed`."""
        try:
            return _ALGORITHMS[algorithm].verify(signed, self.material, signature)
        except (PyJWTError, ValueError):
            return False


def keys_of(document: JsonObject) -> tuple[Key, ...]:
    """The usable keys of a JWK set; those that are for something else, weak, broken or private are left out.

    Raises ValueError for what is no JWK set.
    """
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError(f"it is no JWK set with at most {MAX_KEYS} keys")
    return tuple(key for entry in entries if (key := _key(entry)) is not None)


def candidates(keys: Iterable[Key], kid: str | None, algorithm: str) -> tuple[Key, ...]:
    """The keys that a token with this header may have been signed with; more than a few are none.

    Two keys may have one id (RFC 7517, section 4.5); a token without an id may be any key's that fits.
    """
    found = tuple(key for key in keys if key.may_check(algorithm) and kid in (None, key.kid))
    return found if len(found) <= MAX_CANDIDATES else ()


def _key(entry: Json) -> Key | None:
    if not isinstance(entry, dict) or not _is_for_checking(entry):
        return None
    kid, algorithm = entry.get("kid"), entry.get("alg")
    fit = next((fit for fit in FITS.values() if (fit.kty, fit.curve) == (entry.get("kty"), entry.get("crv"))), None)
    if fit is None or not isinstance(kid, str | None) or not isinstance(algorithm, str | None):
        return None
    if algorithm is not None and algorithm not in FITS:
        return None
    if _PRIVATE & entry.keys():
        _log.error("the issuer publishes a private key (%.80r): it is not used", kid)
        return None
    reader = _ALGORITHMS[next(name for name, of in FITS.items() if of == fit)]
    try:
        material = reader.from_jwk(entry)
    except (PyJWTError, ValueError, TypeError, KeyError, OverflowError):
        _log.warning("a key of the issuer cannot be read (%.80r): it is not used", kid)
        return None
    return Key(kid, fit, algorithm, material) if _is_sound(material) else None


def _is_for_checking(entry: JsonObject) -> bool:
    operations = entry.get("key_ops")
    return entry.get("use") in (None, "sig") and (
        operations is None or (isinstance(operations, list) and "verify" in operations)
    )


def _is_sound(material: object) -> bool:
    if isinstance(material, RSAPublicKey):
        return material.key_size in _RSA_BITS and material.public_numbers().e in range(3, 2**32 + 1)
    return isinstance(material, EllipticCurvePublicKey | Ed25519PublicKey)
