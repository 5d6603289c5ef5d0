"""Sealing what is kept, or goes through other hands (AES-256-GCM): with a key of its own for each use of one."""

from __future__ import annotations

from collections.abc import Callable

from shim import jsontext
from shim.errors import InvalidText
from shim.model import JsonObject

_NONCE = 12


class Sealer:
    """Seals objects, each bound to what it is about. `use` tells keys apart that are derived from one `key`."""

    def __init__(self, key: bytes, use: str, random: Callable[[int], bytes]) -> None:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=use.encode())
        self._cipher = AESGCM(derive.derive(key))
        self._random = random

    def seal(self, about: bytes, content: JsonObject) -> bytes:
        nonce = self._random(_NONCE)
        return nonce + self._cipher.encrypt(nonce, jsontext.dump(content), about)

    def open(self, about: bytes, sealed: bytes) -> JsonObject | None:
        """What was sealed about this; None where another key sealed it, or nobody did."""
        from cryptography.exceptions import InvalidTag

        try:
            return jsontext.parse_object(self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], about))
        except (InvalidTag, InvalidText, ValueError):
            return None
