"""Asking an issuer for a JSON document: bounded in time and size, and nowhere but where it was meant to go."""

from __future__ import annotations

import ssl
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx2

from shim import jsontext
from shim.errors import InvalidText, ShimError
from shim.model import JsonObject
from shim.urls import is_safe

SECONDS: Final = 5.0
"""For one document, and for all that getting keys takes."""
MAX_DOCUMENT: Final = 512 * 1024


class KeysUnavailable(ShimError):
    """The keys of the issuer cannot be had; `str()` says why, for whoever runs the shim."""


class Fetcher:
    """Gets documents. Certificates are checked against those that the system trusts (`SSL_CERT_FILE` adds others)."""

    def __init__(self) -> None:
        self._tls: ssl.SSLContext | None = None

    async def document(self, url: str) -> JsonObject:
        """The JSON object at a URL. Raises KeysUnavailable; no redirect is followed, no proxy is used."""
        try:
            with anyio.fail_after(SECONDS):
                return jsontext.parse_object(await self._body(url))
        except TimeoutError:
            raise KeysUnavailable(f"{url} did not answer within {SECONDS:.0f} s") from None
        except InvalidText as error:
            raise KeysUnavailable(f"{url} is no JSON object: {error}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise KeysUnavailable(f"{url} could not be reached: {_said(error)}") from None

    async def _body(self, url: str) -> bytes:
        if not is_safe(url, whole=True):
            raise KeysUnavailable(f"{url[:200]} is neither https nor on this machine")
        if self._tls is None:
            self._tls = ssl.create_default_context()
        # Not compressed: what is counted is what came.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with (
            httpx2.AsyncClient(verify=self._tls, trust_env=False, follow_redirects=False, timeout=SECONDS) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise KeysUnavailable(f"{url} answered {response.status_code}")
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_DOCUMENT:
                    raise KeysUnavailable(f"{url} is longer than {MAX_DOCUMENT} bytes")
            return bytes(body)


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port (RFC 6454). Raises ValueError for what has none."""
    parts = urlsplit(url)
    if parts.hostname is None or parts.scheme not in ("http", "https"):
        raise ValueError("no origin")
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
