"""Where an issuer keeps its keys: as configured, else as its metadata says (RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit, urlunsplit

import anyio

from shim.identity.fetching import SECONDS, Fetcher, KeysUnavailable, origin
from shim.identity.keys import Key, keys_of

_OAUTH: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where the metadata of an issuer may be, in the order in which MCP has clients ask for it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    inserted = (_OAUTH + path, _OPENID + path)
    paths = inserted if not path else (*inserted, path + _OPENID)
    return tuple(urlunsplit((parts.scheme, parts.netloc, one, "", "")) for one in paths)


class Issuer:
    """Gets the keys of one issuer. Remembers where they were, until they are not there any more."""

    def __init__(self, issuer: str, jwks_url: str | None, fetcher: Fetcher) -> None:
        self._issuer = issuer
        self._configured = jwks_url
        self._found: str | None = None
        self._fetcher = fetcher

    async def keys(self) -> tuple[Key, ...]:
        """The keys of now. Raises KeysUnavailable."""
        try:
            with anyio.fail_after(SECONDS):
                return await self._keys()
        except TimeoutError:
            raise KeysUnavailable(f"{self._issuer} gave no keys within {SECONDS:.0f} s") from None

    async def _keys(self) -> tuple[Key, ...]:
        url = self._configured or self._found or await self._discovered()
        try:
            found = keys_of(await self._fetcher.document(url))
        except KeysUnavailable:
            self._found = None
            raise
        except ValueError as error:
            self._found = None
            raise KeysUnavailable(f"{url}: {error}") from None
        self._found = url
        return found

    async def _discovered(self) -> str:
        reasons = []
        for url in metadata_urls(self._issuer):
            try:
                document = await self._fetcher.document(url)
            except KeysUnavailable as error:
                reasons.append(str(error))
                continue
            if document.get("issuer") != self._issuer:
                # RFC 8414, section 3.3: another issuer's metadata must not be used.
                reasons.append(f"{url} is the metadata of another issuer than {self._issuer}")
                continue
            return self._jwks_url(url, document.get("jwks_uri"))
        raise KeysUnavailable("; ".join(reasons))

    def _jwks_url(self, where: str, found: object) -> str:
        try:
            if isinstance(found, str) and origin(found) == origin(self._issuer):
                return found
        except ValueError:
            pass
        raise KeysUnavailable(f"{where} names no keys on the issuer's own host; write `jwks_url` under `server.jwt`")
