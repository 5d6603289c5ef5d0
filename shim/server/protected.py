"""What an OAuth client is told of this server: where its tokens come from, and what was wrong with the one it sent.

RFC 9728 (protected resource metadata), RFC 6750 (challenges), MCP 2026-07-28 ("Authorization"). There is none of it
without `server.jwt`: a client that is pointed at an authorization server which does not exist begins a sign-in that
cannot end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from shim import jsontext
from shim.model import JsonObject
from shim.server.config import ServerBlock
from shim.server.places import endpoint

_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_PLAIN: Final = b"Bearer"

Fields: TypeAlias = list[tuple[bytes, bytes]]
"""Header fields of a response."""
Demand: TypeAlias = Callable[[Sequence[str]], Fields]
"""The header that asks for a token with these scopes; nothing where there are none."""


@dataclass(frozen=True, slots=True)
class Protected:
    """One server as a protected resource. `resource` is its URL, `issuer` who issues tokens for it."""

    resource: str
    issuer: str

    @classmethod
    def of(cls, block: ServerBlock, port: int) -> Protected | None:
        """That of a server which listens on this port; None where it takes no JWTs."""
        if block.jwt is None:
            return None
        return cls(endpoint(block, port), block.jwt.issuer)

    @property
    def metadata_url(self) -> str:
        """Where clients find the metadata: at the path of the resource (RFC 9728, section 3.1)."""
        parts = urlsplit(self.resource)
        return f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN}{parts.path.rstrip('/')}"

    def is_metadata(self, path: bytes) -> bool:
        """Whether the metadata is asked for: at the root, beside `/mcp`, and where `metadata_url` says."""
        return path.decode("latin-1") in (_WELL_KNOWN, f"{_WELL_KNOWN}/mcp", urlsplit(self.metadata_url).path)

    def metadata(self, scopes: Iterable[str]) -> bytes:
        """The page. `scopes` are those that nothing works without."""
        page: JsonObject = {
            "resource": self.resource,
            "authorization_servers": [self.issuer],
            "bearer_methods_supported": ["header"],
        }
        needed = list(scopes)
        if needed:
            page["scopes_supported"] = needed
        return jsontext.dump(page)

    def challenge(self, *, error: str | None = None, scopes: Iterable[str] = ()) -> bytes:
        """The value of `WWW-Authenticate`: with an `error` of RFC 6750, section 3.1, and the scopes to ask for."""
        parameters = [("error", error), ("scope", " ".join(scopes)), ("resource_metadata", self.metadata_url)]
        return _PLAIN + b" " + ", ".join(f'{name}="{value}"' for name, value in parameters if value).encode("ascii")


def unauthenticated(protected: Protected | None, scopes: Iterable[str], *, sent: bool) -> Fields:
    """The header of a 401; `sent`: there was a credential, and it proves nothing. Which is all that is said of it."""
    if protected is None:
        return [(b"www-authenticate", _PLAIN)]
    challenge = protected.challenge(error="invalid_token" if sent else None, scopes=scopes)
    return [(b"www-authenticate", challenge), (b"cache-control", b"no-store")]


def insufficient(protected: Protected | None, scopes: Sequence[str]) -> Fields:
    """The header of a 403 that asks for a token with these scopes (MCP 2026-07-28, "Scope Challenge Handling")."""
    if protected is None or not scopes:
        return []
    return [(b"www-authenticate", protected.challenge(error="insufficient_scope", scopes=scopes))]
